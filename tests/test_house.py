"""The house rules of CONTRIBUTING.md that a reader of the sources can check."""

from __future__ import annotations

import ast
import functools
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("containerizer", "isolators", "provisioner", "launcher")

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 50

# Over a budget, each with its reason. `path` or `path:function`.
OVER_BUDGET: dict[str, str] = {}

# Calls that are dangerous elsewhere: pattern → (the files that may, why nobody else).
CONFINED: dict[str, tuple[tuple[str, ...], str]] = {
    "os.fork": (
        (
            "launcher/posix_supervisor.py",  # from its fork server, single-threaded on purpose
        ),
        "a fork copies one thread only, and an interpreter's memory page by page",
    ),
    "os.forkpty": ((), "see os.fork"),
    "subprocess": (
        (
            "launcher/forkserver_client.py",  # starts the fork server, which starts everything else
            "provisioner/registry/credential_helper.py",  # others' programs, before a pull
        ),
        "a program costs milliseconds and hides its errno; call the kernel, or ask the fork server",
    ),
    "os.posix_spawn": (
        (
            "launcher/program/start.py",  # a page of our own code
            "launcher/io/relays.py",  # a process that outlives us
            "containerizer/pods/watcher.py",  # another
            "isolators/disk/register.py",  # another
            "containerizer/agent/lanes/pool.py",  # a few, each its own interpreter, for as long as the agent
            "provisioner/layer/workers.py",  # each its own interpreter, for seconds of work
            "isolators/answering.py",  # who looks may hang, and is left behind
            "isolators/program.py",  # others' programs: what CNI is made of, and other plug-ins
            "containerizer/cri/scopes.py",  # a program that waits, without which systemd makes no scope
            "isolators/network/dns/starting.py",  # a name server, which outlives us
        ),
        "see subprocess",
    ),
    "select.select": ((), "it takes no descriptor above 1023; launcher.io.loop.is_ready does"),
    "multiprocessing": ((), "it pickles"),
    "pickle": ((), "unpickling runs code; data between processes is JSON"),
    "marshal": ((), "see pickle"),
    "tarfile": ((), "layers are untrusted; provisioner.layer reads and applies them"),
    "os.system": ((), "a shell between us and the arguments"),
    "os.popen": ((), "a shell between us and the arguments"),
}

# Too heavy for who only imports the library, or runs an image that is already here.
HEAVY = {
    *("requests", "urllib3", "http", "ssl", "hashlib", "zstandard", "isal", "google", "cgroupspy"),
    *(
        "subprocess",
        "argparse",
        "asyncio",
        "multiprocessing",
        "concurrent",
        "logging",
        "tempfile",
        "unittest",
    ),
}

MODE_CALLS = {"chmod", "fchmod", "lchmod", "mkdir", "makedirs", "mkfifo", "mknod", "umask"}
LARGEST_UNAMBIGUOUS_MODE = 7  # up to here decimal and octal are the same


def sources(*areas: str) -> list[Path]:
    return sorted(path for area in areas for path in (ROOT / area).rglob("*.py"))


@functools.cache
def parsed(path: Path) -> tuple[str, ast.Module]:
    text = path.read_text()
    return text, ast.parse(text, path)


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@functools.cache
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


# Budgets -----------------------------------------------------------------------------------------


def over_budget() -> Iterator[str]:
    for path in sources(*PACKAGES, "tests", "docs", "benchmarks"):
        text, tree = parsed(path)
        if len(text.splitlines()) > MAX_FILE_LINES:
            yield named(path)
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                if node.end_lineno - node.lineno >= MAX_FUNCTION_LINES:
                    yield f"{named(path)}:{node.name}"


def test_files_and_functions_keep_their_budgets() -> None:
    """An exception that is no longer one has to leave the list, too."""
    assert set(over_budget()) == set(OVER_BUDGET)


# Dangerous calls ---------------------------------------------------------------------------------


def uses(tree: ast.Module) -> Iterator[str]:
    """Dotted names that a module imports or calls, as `module` or `module.attribute`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield f"{node.value.id}.{node.attr}"


@pytest.mark.parametrize("what", CONFINED)
def test_dangerous_calls_are_confined(what: str) -> None:
    allowed, reason = CONFINED[what]
    users = {named(path) for path in sources(*PACKAGES) if what in set(uses(parsed(path)[1]))}
    assert users == set(allowed), f"{what}: {reason}"


def keywords(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from ((word.arg, word.value) for word in node.keywords if word.arg)


def test_no_code_runs_between_a_threaded_fork_and_exec() -> None:
    everywhere = sources(*PACKAGES, "tests", "docs", "benchmarks")
    users = [named(path) for path in everywhere if "preexec_fn" in dict(keywords(parsed(path)[1]))]
    assert users == [], "preexec_fn deadlocks in a process with threads; use the launcher"


def test_no_shell_reads_our_arguments() -> None:
    users = [named(path) for path in sources(*PACKAGES) if "shell" in dict(keywords(parsed(path)[1]))]
    assert users == [], "shell=True: pass a list"


def decimal_modes(path: Path) -> Iterator[str]:
    text, tree = parsed(path)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _called(node) in MODE_CALLS:
            for value in (*node.args, *(word.value for word in node.keywords if word.arg == "mode")):
                literal = ast.get_source_segment(text, value) or ""
                if literal.isdecimal() and int(literal) > LARGEST_UNAMBIGUOUS_MODE:
                    yield f"{named(path)}:{node.lineno}: {literal}"


def _called(call: ast.Call) -> str:
    match call.func:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
    return ""


def test_file_modes_are_octal() -> None:
    everywhere = sources(*PACKAGES, "tests", "docs", "benchmarks")
    assert [slip for path in everywhere for slip in decimal_modes(path)] == []


def test_the_checks_see_what_they_forbid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = "import os, tarfile as t\nfrom os import fork\nos.chmod('/x', 755)\nrun(preexec_fn=f)\nos.fork()\n"
    (tmp_path / "bad.py").write_text(bad)
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    tree = parsed(tmp_path / "bad.py")[1]
    assert {"tarfile", "os.fork"} <= set(uses(tree))
    assert "preexec_fn" in dict(keywords(tree))
    assert list(decimal_modes(tmp_path / "bad.py")) == ["bad.py:3: 755"]


# What is installed -------------------------------------------------------------------------------


def test_exactly_the_four_packages_are_installed() -> None:
    top_level = importlib.metadata.distribution("containerizer").read_text("top_level.txt") or ""
    assert sorted(top_level.split()) == sorted(PACKAGES)


def test_no_module_is_left_out_of_the_wheel() -> None:
    """setuptools takes a directory for a package by its __init__.py."""
    missing = {
        named(path.parent) for path in sources(*PACKAGES) if not path.with_name("__init__.py").exists()
    }
    assert missing == set()


# Dependencies ------------------------------------------------------------------------------------


def dependencies() -> list[str]:
    metadata = project()["project"]
    groups = [metadata["dependencies"], *metadata["optional-dependencies"].values()]
    return [
        re.split(r"[^A-Za-z0-9_.-]", requirement, maxsplit=1)[0] for group in groups for requirement in group
    ]


def test_every_dependency_has_its_reason() -> None:
    reasons = re.findall(r"^- (`.*`): \S", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    explained = [name for reason in reasons for name in re.findall(r"`([^`]+)`", reason)]
    assert sorted(explained) == sorted(dependencies())


# Light imports -----------------------------------------------------------------------------------


def loaded_by(statement: str) -> set[str]:
    """The top-level modules that a fresh interpreter has after the statement and not before."""
    code = f"import sys; old = set(sys.modules); {statement}; print(*(set(sys.modules) - old))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    return {name.partition(".")[0] for name in done.stdout.split()}


@pytest.mark.parametrize("statement", ["import containerizer", "from containerizer import Containerizer"])
def test_importing_the_library_is_light(statement: str) -> None:
    loaded = loaded_by(statement)
    assert "containerizer" in loaded
    assert loaded & HEAVY == set()
