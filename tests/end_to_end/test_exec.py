"""`exec` as people use it: at a terminal, detached, and in a container that stands still."""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.namespaces import KINDS
from tests.end_to_end.conftest import Cli, parent
from tests.end_to_end.person import DETACH, TIMEOUT, person

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox")

NAME = f"exec-{os.getpid()}"
SHELL = ("sh", "-c", "PS1=; echo ready; exec sh -i")
SHIELDS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Seccomp_filters")
IDS = ("Uid", "Gid", "Groups")


@contextlib.contextmanager
def running(cli: Cli, busybox: str, *options: str) -> Iterator[None]:
    """A container that sleeps."""
    done = cli("run", "-d", "--name", NAME, *options, busybox, "sleep", "1000")
    assert (done.returncode, done.stderr) == (0, "")
    try:
        yield
    finally:
        assert cli("rm", "-f", NAME).returncode == 0


def listed(cli: Cli, name: str) -> dict[str, object]:
    return next(container for container in cli.containers() if container["id"] == name)


def pid_of(cli: Cli, name: str) -> int:
    return int(str(listed(cli, name)["pid"]))


@contextlib.contextmanager
def until_taken_back(cli: Cli, name: str) -> Iterator[None]:
    """Wait at the end for the supervisor, which ends as the reaper."""
    supervisor = os.pidfd_open(parent(pid_of(cli, name)))
    try:
        yield
        assert select.select([supervisor], [], [], TIMEOUT)[0]
    finally:
        os.close(supervisor)


def status_of(pid: int) -> dict[str, list[str]]:
    lines = (line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {name: value.split() for name, value in lines}


# What it joins ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("-m", "64m", "--pids-limit", "50", "--cpus", "0.5"),
        ("--cap-drop", "ALL", "--cap-add", "CHOWN", "-u", "1000:1000"),
        ("--security-opt", "seccomp=unconfined", "--security-opt", "no-new-privileges=false"),
        pytest.param(("--userns", "auto"), marks=pytest.mark.requires("userns")),
    ],
)
def test_the_kernel_says_the_same_of_it_as_of_the_task(
    cli: Cli, busybox: str, options: tuple[str, ...]
) -> None:
    with running(cli, busybox, *options):
        name = cli("exec", "-d", NAME, "sleep", "1000").stdout.strip()
        task, command = (pid_of(cli, each) for each in (NAME, name))
        assert task != command
        for kind in KINDS:
            assert os.readlink(f"/proc/{task}/ns/{kind}") == os.readlink(f"/proc/{command}/ns/{kind}"), kind
        assert Path(f"/proc/{task}/cgroup").read_text() == Path(f"/proc/{command}/cgroup").read_text()
        of_task, of_command = status_of(task), status_of(command)
        for field in (*SHIELDS, *IDS):
            assert of_task[field] == of_command[field], field
        assert os.path.samestat(os.stat(f"/proc/{task}/root"), os.stat(f"/proc/{command}/root"))


def test_another_user_has_no_more_than_the_task(cli: Cli, busybox: str) -> None:
    with running(cli, busybox):
        name = cli("exec", "-d", "-u", "1234:4321", NAME, "sleep", "1000").stdout.strip()
        status = status_of(pid_of(cli, name))
        assert (status["Uid"], status["Gid"]) == (["1234"] * 4, ["4321"] * 4)
        assert status["CapEff"] == status["CapPrm"] == ["0" * 16]
        assert (status["NoNewPrivs"], status["Seccomp"]) == (["1"], ["2"])


# At a terminal ---------------------------------------------------------------------------------------


def test_a_terminal_in_the_container(cli: Cli, busybox: str) -> None:
    with running(cli, busybox), person(cli, "exec", "-it", NAME, *SHELL) as me:
        before = me.modes
        me.sees(b"ready")
        assert me.modes != before, "raw"
        me.types(b"tty; stty size; echo $TERM\r")
        me.sees(b"/dev/pts/0\r\n24 80\r\nxterm\r\n")
        me.resizes(50, 132)
        me.types(b"until [ \"$(stty size)\" = '50 132' ]; do :; done; echo re''sized\r")
        me.sees(b"resized")
        me.types(b"sh -c 'echo wait\"\"ing; exec sleep 1000'\r")
        me.sees(b"waiting")
        me.types(b"\x03")
        me.types(b"echo inter''rupted; exit 42\r")
        me.sees(b"interrupted")
        assert me.sees_the_end() == 42
        assert me.modes == before


def test_detach_and_attach_by_a_beginning(cli: Cli, busybox: str) -> None:
    with running(cli, busybox), person(cli, "exec", "-it", NAME, *SHELL) as me:
        me.sees(b"ready")
        me.types(DETACH)
        assert me.sees_the_end() == 0
        me.sees(f"containerizer attach {NAME}.exec-".encode())
        with person(cli, "attach", f"{NAME}.e") as again:
            again.sees(b"ready")  # replayed
            again.types(b"exit 3\r")
            assert again.sees_the_end() == 3


@pytest.mark.parametrize(("script", "code"), [("exit 7", 7), ("kill -9 $$", 137), ("kill -15 $$", 143)])
def test_exit_codes_at_a_terminal(cli: Cli, busybox: str, script: str, code: int) -> None:
    with running(cli, busybox):
        assert cli("exec", "-t", NAME, "sh", "-c", script).returncode == code
        assert cli("exec", NAME, "sh", "-c", script).returncode == code


# Detached --------------------------------------------------------------------------------------------


def test_detached_it_has_a_log_and_can_be_waited_for(cli: Cli, busybox: str) -> None:
    with running(cli, busybox):
        script = "read line; echo out $line; echo err >&2; exit 5"
        name = cli("exec", "-d", "-i", NAME, "sh", "-c", script).stdout.strip()
        assert name.startswith(f"{NAME}.exec-")
        assert cli("ps", "-q").stdout.splitlines() == [NAME, name]
        with until_taken_back(cli, name):
            attached = cli("attach", name, stdin="typed\n")
            assert (attached.returncode, attached.stdout, attached.stderr) == (5, "out typed\n", "err\n")
        assert cli("wait", name).stdout == "5\n"
        logged = cli("logs", name)
        assert (logged.stdout, logged.stderr) == ("out typed\n", "err\n")
        assert listed(cli, name)["state"] == "terminated"
        assert cli("ps", "-q").stdout.splitlines() == [NAME]
        assert cli("rm", name).returncode == 0


def test_detached_it_is_forgotten_if_so_asked(cli: Cli, busybox: str) -> None:
    with running(cli, busybox):
        name = cli("exec", "-d", "-i", "--rm", NAME, "cat").stdout.strip()
        with until_taken_back(cli, name):
            assert cli("attach", name, stdin="typed\n").stdout == "typed\n"
        assert [container["id"] for container in cli.containers()] == [NAME]


def test_a_detached_command_is_killed_alone(cli: Cli, busybox: str) -> None:
    with running(cli, busybox):
        name = cli("exec", "-d", NAME, "sleep", "1000").stdout.strip()
        assert cli("kill", name).returncode == 0
        assert cli("wait", name).stdout == "137\n"
        assert listed(cli, NAME)["running"] is True


# In a container that stands still --------------------------------------------------------------------


def test_a_paused_container_refuses(cli: Cli, busybox: str) -> None:
    with running(cli, busybox):
        assert cli("pause", NAME).returncode == 0
        refused = cli("exec", NAME, "true")
        assert (refused.returncode, f"container {NAME} is paused" in refused.stderr) == (125, True)
        assert "unpause" in refused.stderr
        nested = cli("run", "--name", f"{NAME}.nested", busybox, "true")
        assert (nested.returncode, f"container {NAME} is paused" in nested.stderr) == (125, True)
        assert [container["id"] for container in cli.containers()] == [NAME]
        cli("unpause", NAME)
        assert cli("exec", NAME, "echo", "goes").stdout == "goes\n"


def test_paused_is_what_is_in_a_paused_container_too(cli: Cli, busybox: str) -> None:
    with running(cli, busybox):
        name = cli("exec", "-d", NAME, "sleep", "1000").stdout.strip()
        cli("pause", NAME)
        assert listed(cli, name)["paused"] is True
        assert f"container {name} is paused" in cli("exec", name, "true").stderr


def test_a_paused_container_is_removed_with_what_is_in_it(cli: Cli, busybox: str) -> None:
    with running(cli, busybox):
        cli("exec", "-d", NAME, "sleep", "1000")
        cli("pause", NAME)
        done = cli("rm", "-f", NAME)
        assert (done.returncode, done.stderr) == (0, "")
        assert cli.containers() == []
