"""`debug`: a command in the container, or tools beside it that see its processes, network and files."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from launcher.namespaces import KINDS
from tests.end_to_end.conftest import Cli
from tests.end_to_end.person import person
from tests.support import images
from tests.support.registry import Registry

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox")

NAMESPACES = f"for kind in {' '.join(KINDS)}; do echo $kind $(readlink /proc/self/ns/$kind); done"
SECRET = "echo of the task > /root/secret; echo up; exec sleep 1000"


@pytest.fixture(scope="module")
def tools(registry: Registry) -> str:
    """An image that says which it is, with a file where the task's root is to be."""
    mark = images.layer([images.entry("tools", b"the tools\n"), images.entry("target", b"in the way\n")])
    busybox = images.busybox()
    parts = images.image(*busybox.layers, mark, config={"Env": ["PATH=/bin"], "Cmd": ["sh"]})
    images.push(parts, registry.host, "tools", "latest")
    return f"{registry.host}/tools"


@pytest.fixture(params=[(), ("--userns", "auto"), ("-u", "1000:1000"), ("--init",)], ids=" ".join)
def task(cli: Cli, busybox: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A container that has written something only it has."""
    script = SECRET if "-u" not in request.param else SECRET.replace("/root", "/tmp")
    started = cli("run", "-d", "--name", "task", "-m", "64m", *request.param, busybox, "sh", "-c", script)
    assert started.returncode == 0, started.stderr
    yield "task"
    cli("rm", "-f", "task")


def test_tools_have_all_namespaces_but_the_files(cli: Cli, task: str, tools: str) -> None:
    own = dict(line.split() for line in cli("exec", task, "sh", "-c", NAMESPACES).stdout.splitlines())
    seen = cli("debug", "--image", tools, task, "sh", "-c", NAMESPACES)
    assert (seen.returncode, seen.stderr) == (0, "")
    theirs = dict(line.split() for line in seen.stdout.splitlines())
    assert {kind for kind in own if own[kind] != theirs[kind]} == {"mnt"}


def test_tools_see_files_and_processes_of_the_task(cli: Cli, task: str, tools: str) -> None:
    script = (
        "cat /tools /target/tmp/secret /target/root/secret 2>/dev/null; ls -d /target/tools 2>&1;"
        "tr '\\0' ' ' < /proc/1/cmdline; echo; hostname; echo more > /target/tmp/more"
    )
    done = cli("debug", "--image", tools, task, "sh", "-c", script)
    first, second, third, fourth, host = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    assert (first, second, host) == ("the tools", "of the task", "task")
    assert "No such file" in third
    assert fourth.strip() in ("sleep 1000", "containerizer init") or fourth.startswith("sh -c")
    assert cli("exec", task, "cat", "/tmp/more").stdout == "more\n"


def test_without_an_image_it_is_a_command_in_the_container(cli: Cli, task: str) -> None:
    done = cli("debug", "-i", "-e", "COLOUR=red", task, stdin="echo $COLOUR; echo $0; exit 7\n")
    assert (done.returncode, done.stdout) == (7, "red\nsh\n")
    assert cli("debug", task, "no-such-command").returncode == 127
    refused = cli("debug", "--cap-add", "SYS_ADMIN", task)
    assert (refused.returncode, "--image" in refused.stderr) == (125, True)


@pytest.fixture
def simple(cli: Cli, busybox: str) -> Iterator[str]:
    cli("run", "-d", "--name", "simple", busybox, "sh", "-c", SECRET)
    yield "simple"
    cli("rm", "-f", "simple")


def test_input_exit_codes_and_names(cli: Cli, simple: str, tools: str) -> None:
    done = cli("debug", "--image", tools, "-i", simple, "sh", "-c", "cat; exit 9", stdin="given")
    assert (done.returncode, done.stdout) == (9, "given")
    assert cli("debug", "--image", tools, simple, "no-such-command").returncode == 127
    name = cli("debug", "--image", tools, "-d", simple, "sh", "-c", "echo found").stdout.strip()
    assert re.fullmatch(r"simple\.debug-[0-9a-f]{12}", name)
    assert cli("wait", name).stdout == "0\n"
    assert cli("logs", name).stdout == "found\n"
    assert cli("rm", name).returncode == 0
    assert [each["id"] for each in cli.containers()] == [simple]


def test_at_a_terminal(cli: Cli, simple: str, tools: str) -> None:
    with person(cli, "debug", "-it", "--image", tools, simple) as somebody:
        somebody.types(b"tty; cat /target/root/secret\n")
        somebody.sees(b"/dev/pts/0")
        somebody.sees(b"of the task")
        somebody.types(b"exit 3\n")
        assert somebody.sees_the_end() == 3


def test_the_task_can_neither_trace_tools_nor_have_them_run_its_programs(
    cli: Cli, simple: str, tools: str
) -> None:
    script = "echo up; read x; which cat"
    with cli.start("debug", "--image", tools, "-i", simple, "sh", "-c", script) as looks:
        assert looks.stdout is not None
        assert looks.stdout.readline() == "up\n"
        mine = (
            "echo evil > /bin/cat; for p in /proc/[0-9]*; do"
            ' grep -q "up; read x" $p/cmdline && test $p != /proc/$$ || continue;'
            " ls $p/root/ $p/cwd/; readlink $p/fd/1; done; true"
        )
        tried = cli("exec", simple, "sh", "-c", mine)
        assert tried.stdout == ""
        assert tried.stderr.count("ermission denied") == 2
        out, _ = looks.communicate("\n")
        assert out == "/bin/cat\n"


def test_what_cannot_be_looked_into(cli: Cli, simple: str, tools: str) -> None:
    assert "no container none" in cli("debug", "none").stderr.lower()
    host = cli("debug", "--image", "host", simple, "true")
    assert (host.returncode, "host's files" in host.stderr) == (125, True)
    cli("pause", simple)
    paused = cli("debug", "--image", tools, simple, "true")
    assert (paused.returncode, "paused" in paused.stderr) == (125, True)
    cli("unpause", simple)
    assert [each["id"] for each in cli.containers()] == [simple]


def test_the_end_of_the_task_is_that_of_its_tools(cli: Cli, simple: str, tools: str) -> None:
    with cli.start("debug", "--image", tools, simple, "sh", "-c", "echo up; sleep 1000") as looks:
        assert looks.stdout is not None
        assert looks.stdout.readline() == "up\n"
        cli("kill", simple)
        assert looks.wait(30) == 137
