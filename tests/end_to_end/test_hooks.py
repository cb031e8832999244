"""Hooks of OCI: when and where they run, what they are told, and what becomes of one that fails."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isolators import catalog
from launcher.hooks import POINTS
from tests.end_to_end.conftest import Cli

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox")

# Notes where it runs, and what it is told. In the container's namespaces the old root is still there.
_NOTE = """#!/bin/sh
read state
echo "$1 $(hostname) $(readlink /proc/self/ns/mnt) $(id -u) $HOOKED" >>{log}
printf '%s\\n' "$state" >>{log}
"""

Write = Callable[..., str]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def hook(tmp_path: Path, log: Path) -> Write:
    """Writes a hook with this script for these points; the directory."""
    (tmp_path / "hooks").mkdir()

    def write(*stages: str, script: str = _NOTE, name: str = "hook", **more: Any) -> str:
        program = tmp_path / f"{name}.sh"
        program.write_text(script.replace("{log}", str(log)))
        program.chmod(0o755)
        for stage in stages:
            own = {
                "path": str(program),
                "args": [name, stage],
                "env": ["PATH=/bin:/usr/bin", "HOOKED=yes"],
                **more,
            }
            file = {"version": "1.0.0", "hook": own, "when": {"always": True}, "stages": [stage]}
            (tmp_path / "hooks" / f"{name}-{POINTS.index(stage)}.json").write_text(json.dumps(file))
        return str(tmp_path / "hooks")

    return write


def _open_to_all(directory: Path) -> None:
    """Root in a user namespace is somebody else here, and has to find its hooks."""
    for path in (directory, *directory.parents):
        if str(path).startswith("/tmp/"):
            path.chmod(0o755)


def notes(log: Path) -> list[tuple[list[str], dict[str, Any]]]:
    lines = log.read_text().splitlines()
    return [(lines[n].split(), json.loads(lines[n + 1])) for n in range(0, len(lines), 2)]


@pytest.mark.parametrize("userns", [(), ("--userns", "100000:65536")])
def test_they_run_in_their_order_and_places(
    cli: Cli, busybox: str, hook: Write, log: Path, userns: tuple[str, ...]
) -> None:
    log.touch()
    log.chmod(0o666)
    _open_to_all(log.parent)
    points = [point for point in POINTS if point != "startContainer"]
    directory = hook(*points)
    run = (
        "run",
        "--rm",
        "--name",
        "hooked",
        "--hostname",
        "inside",
        *userns,
        "--hooks-dir",
        directory,
        busybox,
    )
    done = cli(*run, "sh", "-c", "exit 3")
    assert (done.returncode, done.stderr) == (3, "")
    noted = notes(log)
    assert [words[0] for words, _ in noted] == points
    host = (os.uname().nodename, os.readlink("/proc/self/ns/mnt"))
    for words, state in noted:
        inside = words[0] == "createContainer"
        assert (words[1] == "inside", words[2] != host[1]) == (inside, inside)
        assert words[3:] == ["0", "yes"]
        assert (state["id"], state["ociVersion"]) == ("hooked", "1.0.2")
    assert [state["status"] for _, state in noted] == ["creating"] * 3 + ["running", "stopped"]
    assert all(state["pid"] > 1 for _, state in noted[:4])
    assert not os.path.exists(noted[0][1]["bundle"])


@pytest.mark.parametrize("userns", [(), ("--userns", "100000:65536")])
def test_one_before_the_root_changes_can_add_to_it(
    fresh: Cli, busybox: str, hook: Write, tmp_path: Path, userns: tuple[str, ...]
) -> None:
    script = """#!/bin/sh
read state
bundle=$(echo "$state" | sed 's/.*"bundle": "\\([^"]*\\)".*/\\1/')
root=$(sed 's/.*"root": {"path": "\\([^"]*\\)".*/\\1/' <$bundle/config.json)
cd $bundle
echo added >$root/etc/added
"""
    directory = hook("createContainer", script=script)
    _open_to_all(tmp_path)
    fresh.state.mkdir(mode=0o755)
    done = fresh("run", "--rm", *userns, "--hooks-dir", directory, busybox, "cat", "/etc/added")
    assert done.stdout == "added\n", done.stderr


def test_one_that_starts_the_container_is_the_containers_own(cli: Cli, busybox: str, tmp_path: Path) -> None:
    own = {
        "path": "/bin/busybox",
        "args": ["sh", "-c", "echo $$ $(cat /proc/self/stat | cut -d' ' -f1) >/started"],
    }
    file = {"version": "1.0.0", "hook": own, "when": {"always": True}, "stages": ["startContainer"]}
    (tmp_path / "hook.json").write_text(json.dumps(file))
    done = cli("run", "--rm", "--hooks-dir", str(tmp_path), busybox, "cat", "/started")
    first, second = done.stdout.split()
    assert 1 < int(first) < 20 and int(second) < 20  # as its PID namespace counts


_SHOW = "grep -E '^(Cap.*|NoNewPrivs|Seccomp|Uid|Gid|Groups):' /proc/self/status; cat /proc/self/cgroup"


@pytest.mark.parametrize(
    "how",
    [
        (),
        ("--user", "1000:1000"),
        ("--cap-drop", "ALL", "--cap-add", "CHOWN"),
        ("--userns", "100000:65536"),
        ("--security-opt", "no-new-privileges", "--user", "1000"),
        ("--isolation", f"{','.join(catalog.DEFAULT)},hooks/oci,cgroups/devices", "--pids-limit", "9"),
    ],
    ids=lambda how: " ".join(how) or "default",
)
def test_one_of_the_containers_can_do_what_the_task_can(
    cli: Cli, busybox: str, tmp_path: Path, how: tuple[str, ...]
) -> None:
    """Its program is the image's: as the host's root it would own the host."""
    own = {"path": "/bin/busybox", "args": ["sh", "-c", f"exec >/tmp/hook; {_SHOW}"]}
    file = {"version": "1.0.0", "hook": own, "when": {"always": True}, "stages": ["startContainer"]}
    (tmp_path / "hook.json").write_text(json.dumps(file))
    run = ("run", "--rm", "--tmpfs", "/tmp:mode=1777", *how, "--hooks-dir", str(tmp_path), busybox)
    done = cli(*run, "sh", "-c", f"cat /tmp/hook; echo =; {_SHOW}")
    hook, task = done.stdout.split("=\n")
    assert hook and hook == task, done.stderr
    assert "Seccomp:\t2" in hook


@pytest.mark.parametrize("point", ["prestart", "createRuntime", "createContainer", "poststart"])
def test_one_that_fails_ends_the_launch(cli: Cli, busybox: str, hook: Write, point: str) -> None:
    directory = hook(point, script="#!/bin/sh\necho no luck >&2; exit 7\n")
    done = cli("run", "--rm", "--hooks-dir", directory, busybox, "sleep", "1000")
    assert done.returncode == 125
    assert f"the {point} hook " in done.stderr
    assert "failed with exit code 7: no luck" in done.stderr
    assert not (cli.state / "bundles").exists()


def test_one_of_the_containers_that_fails_ends_the_launch(cli: Cli, busybox: str, tmp_path: Path) -> None:
    own = {"path": "/bin/busybox", "args": ["sh", "-c", "echo not ready >&2; exit 3"]}
    file = {"version": "1.0.0", "hook": own, "when": {"always": True}, "stages": ["startContainer"]}
    (tmp_path / "hook.json").write_text(json.dumps(file))
    done = cli("run", "--rm", "--hooks-dir", str(tmp_path), busybox, "sleep", "1000")
    assert done.returncode == 125
    assert "the startContainer hook /bin/busybox failed with exit code 3: not ready" in done.stderr


def test_one_that_hangs_is_killed(cli: Cli, busybox: str, hook: Write) -> None:
    directory = hook("createContainer", script="#!/bin/sh\nexec sleep 1000\n", timeout=1)
    done = cli("run", "--rm", "--hooks-dir", directory, busybox, "true")
    assert "has not ended in 1 seconds" in done.stderr


def test_one_that_fails_after_the_end_is_told_and_no_more(cli: Cli, busybox: str, hook: Write) -> None:
    directory = hook("poststop", script="#!/bin/sh\nexit 1\n")
    done = cli("run", "--rm", "--hooks-dir", directory, busybox, "sh", "-c", "exit 4")
    assert done.returncode == 4
    assert "the poststop hook" in done.stderr


def test_one_that_is_not_there(cli: Cli, busybox: str, hook: Write, tmp_path: Path) -> None:
    directory = hook("createRuntime", "createContainer")
    (tmp_path / "hook.sh").unlink()
    done = cli("run", "--rm", "--hooks-dir", directory, busybox, "true")
    assert "cannot execute the createRuntime hook" in done.stderr
    (tmp_path / "hooks" / "hook-1.json").unlink()
    done = cli("run", "--rm", "--hooks-dir", directory, busybox, "true")
    assert "cannot execute the createContainer hook" in done.stderr


def test_a_further_command_has_none(cli: Cli, busybox: str, hook: Write, log: Path) -> None:
    directory = hook("createRuntime")
    run = ("run", "-d", "--rm", "--name", "more", "--hooks-dir", directory, busybox, "sleep", "1000")
    assert cli(*run).returncode == 0
    try:
        assert cli("exec", "more", "echo", "x").stdout == "x\n"
    finally:
        cli("rm", "--force", "more")
    assert len(notes(log)) == 1


def test_a_nested_container_has_its_own(cli: Cli, busybox: str, hook: Write, log: Path) -> None:
    directory = hook("createContainer", "poststop")
    assert cli("run", "-d", "--rm", "--name", "out", busybox, "sleep", "1000").returncode == 0
    try:
        done = cli("run", "--rm", "--name", "out.in", "--hooks-dir", directory, busybox, "echo", "x")
        assert done.stdout == "x\n", done.stderr
    finally:
        cli("rm", "--force", "out")
    assert [(words[0], state["id"]) for words, state in notes(log)] == [
        ("createContainer", "out.in"),
        ("poststop", "out.in"),
    ]


def test_who_cleans_up_for_a_killed_launcher_runs_those_after_the_end(
    cli: Cli, busybox: str, hook: Write, log: Path
) -> None:
    directory = hook("poststop")
    with cli.start(
        "run", "--rm", "--name", "left", "--hooks-dir", directory, busybox, "sleep", "1000"
    ) as run:
        while not cli.containers() or not cli.containers()[0]["running"]:
            assert run.poll() is None
        run.kill()
        run.wait()
    cli.wait_for_reapers()
    assert [words[0] for words, _ in notes(log)] == ["poststop"]
    assert not (cli.state / "bundles").exists()


def test_root_inside_cannot_change_what_is_run_as_root_on_the_host(
    fresh: Cli, busybox: str, hook: Write, tmp_path: Path, log: Path
) -> None:
    script = """#!/bin/sh
cd $(sed 's/.*"bundle": "\\([^"]*\\)".*/\\1/') && cat config.json >/dev/null || exit 1
echo $(id -u) $(stat -c '%u %a' . config.json) >>{log}
(echo x >poststop.json) 2>/dev/null && echo made >>{log}
(echo x >>config.json) 2>/dev/null && echo written >>{log}
mv config.json moved 2>/dev/null && echo moved >>{log}
exit 0
"""
    directory = hook("createContainer", script=script)
    hook("poststop", script="#!/bin/sh\necho ended >>{log}\n", name="last")
    log.touch()
    log.chmod(0o666)
    _open_to_all(tmp_path)
    fresh.state.mkdir(mode=0o755)
    done = fresh("run", "--rm", "--userns", "100000:65536", "--hooks-dir", directory, busybox, "true")
    assert (done.returncode, done.stderr) == (0, "")
    assert log.read_text().splitlines() == ["0 65534 711 65534 640", "ended"]  # of no user inside
    assert sorted(os.listdir(fresh.state / "poststop")) == []
