"""A supervisor that is killed: its container is destroyed, and whoever comes sees the truth."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.attach import Attachment
from tests.end_to_end.conftest import Cli, parent
from tests.launcher.support import Reader, kill

pytestmark = pytest.mark.requires("root", "cgroup1")

NAME = f"killed-{os.getpid()}"
TIMEOUT = 30  # seconds

# A task with a child, and a grandchild that is nobody's.
FAMILY = "(setsid sleep 1000 </dev/null >/dev/null 2>&1 &); sleep 1000 & echo ready; wait"

# A task that undoes its parent death signal, as a change of its user would.
DISOBEDIENT = """
import ctypes, time
ctypes.CDLL(None).prctl(1, 0, 0, 0, 0)  # PR_SET_PDEATHSIG
print("ready", flush=True)
time.sleep(1000)
"""

HOWS = pytest.mark.parametrize(
    "options",
    [(), ("--init",), ("--isolation", "cgroups/freezer"), ("--isolation", "cgroups/pids")],
    ids=["default", "init", "no PID namespace", "no freezer either"],
)
PAUSABLE = pytest.mark.parametrize(
    "options",
    [(), ("--init",), ("--isolation", "cgroups/freezer")],
    ids=["default", "init", "no PID namespace"],
)


class Family:
    """The processes of a container."""

    def __init__(self, cli: Cli) -> None:
        (listed,) = cli.containers()
        self.task = int(str(listed["pid"]))
        self.supervisor = parent(self.task)
        self.pidfds = [os.pidfd_open(pid) for pid in descendants(self.supervisor)]

    def all_ended(self) -> bool:
        return len(select.select(self.pidfds, [], [], 0)[0]) == len(self.pidfds)

    def none_ended(self) -> bool:
        return select.select(self.pidfds, [], [], 0)[0] == []

    def close(self) -> None:
        for pidfd in self.pidfds:
            os.close(pidfd)


def descendants(pid: int) -> list[int]:
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return children + [further for child in children for further in descendants(child)]


@contextlib.contextmanager
def detached(cli: Cli, *arguments: str) -> Iterator[Family]:
    """A container whose launcher is gone. At the end nothing may be left."""
    try:
        done = cli("run", "-d", "--name", NAME, *arguments)
        assert (done.returncode, done.stderr) == (0, "")
        with Attachment.connect(str(cli.state / "containers" / NAME / "attach.sock")) as attachment:
            attachment.attach()
            Reader(attachment).until("ready\n")
        family = Family(cli)
        try:
            yield family
        finally:
            family.close()
    finally:
        cli("rm", "-f", NAME)
        assert cli.left() == []


def condition(cli: Cli) -> str:
    (line,) = [line for line in cli("ps", "-a").stdout.splitlines() if line.startswith(NAME)]
    return line.split("   ")[-1].strip()


def done(cli: Cli, *arguments: str) -> str:
    finished = cli(*arguments)
    assert (finished.returncode, finished.stderr) == (0, "")
    return finished.stdout.strip()


@HOWS
def test_who_waits_is_told(cli: Cli, options: tuple[str, ...]) -> None:
    with detached(cli, *options, "host", "sh", "-c", FAMILY) as family:
        assert len(family.pidfds) >= 3
        kill(family.supervisor)
        assert done(cli, "wait", NAME) == "137"
        assert family.all_ended()
        assert condition(cli) == "killed by SIGKILL"
        done(cli, "rm", NAME)


@HOWS
@pytest.mark.parametrize("command", [["rm"], ["rm", "-f"], ["stop"]], ids=" ".join)
def test_until_somebody_comes_it_is_lost(cli: Cli, options: tuple[str, ...], command: list[str]) -> None:
    with detached(cli, *options, "host", "sh", "-c", FAMILY) as family:
        kill(family.supervisor)
        assert condition(cli).startswith("lost")
        (listed,) = cli.containers()
        assert (listed["running"], listed["lost"], listed["termination"]) == (False, True, None)
        done(cli, *command, NAME)
        assert family.all_ended()


@PAUSABLE
@pytest.mark.parametrize("command", [["rm"], ["rm", "-f"], ["stop"], ["wait"]], ids=" ".join)
def test_while_it_is_paused(cli: Cli, options: tuple[str, ...], command: list[str]) -> None:
    """On cgroup v1 the signal of the kernel finds it frozen, and it stays until somebody comes."""
    with detached(cli, *options, "host", "sh", "-c", FAMILY) as family:
        done(cli, "pause", NAME)
        kill(family.supervisor)
        assert family.none_ended()
        assert condition(cli).startswith("lost")
        done(cli, *command, NAME)
        assert family.all_ended()


def test_a_task_that_the_kernel_does_not_end(cli: Cli) -> None:
    with detached(cli, "host", "python3", "-c", DISOBEDIENT) as family:
        kill(family.supervisor)
        assert family.none_ended()
        assert condition(cli).startswith("lost")
        assert done(cli, "wait", NAME) == "137"
        assert family.all_ended()


@HOWS
def test_the_command_that_runs_it_ends_it(cli: Cli, options: tuple[str, ...]) -> None:
    with foreground(cli, *options) as (process, family):
        kill(family.supervisor)
        assert process.wait(TIMEOUT) == 137
        assert family.all_ended()


@PAUSABLE
def test_the_command_that_runs_it_ends_it_while_it_is_paused(cli: Cli, options: tuple[str, ...]) -> None:
    with foreground(cli, *options) as (process, family):
        done(cli, "pause", NAME)
        kill(family.supervisor)
        assert process.wait(TIMEOUT) == 137
        assert family.all_ended()


@contextlib.contextmanager
def foreground(cli: Cli, *options: str) -> Iterator[tuple[subprocess.Popen[str], Family]]:
    """One in the foreground of another process; nothing may be left by that."""
    with cli.start("run", "--rm", "--name", NAME, *options, "host", "sh", "-c", FAMILY) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        family = Family(cli)
        try:
            yield process, family
            assert cli.containers() == []
        finally:
            family.close()
            cli("rm", "-f", NAME)
