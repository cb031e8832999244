"""A task that waits for a disk uninterruptibly cannot be killed: destroying it says so, and is done later."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from containerizer import Containerizer
from containerizer.remote import DestroyTimeout
from tests.end_to_end.conftest import Cli, parent
from tests.support.frozen_disk import FrozenDisk, frozen_disk, wait_until_stuck

pytestmark = pytest.mark.requires("root", "ext4")

NAME = f"stuck-{os.getpid()}"
TIMEOUT = 30  # seconds
WITHOUT_CGROUPS = ("--isolation", "filesystem/linux,namespaces/pid")
WITHOUT_PID_NAMESPACE = ("--isolation", "cgroups/freezer")
BARE = ("--isolation", "namespaces/uts")

HOWS = pytest.mark.parametrize(
    "options",
    [(), ("--init",), WITHOUT_CGROUPS, WITHOUT_PID_NAMESPACE, BARE],
    ids=["default", "init", "no cgroups", "no PID namespace", "neither"],
)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[FrozenDisk]:
    with frozen_disk(tmp_path) as disk:
        yield disk


@contextlib.contextmanager
def stuck(cli: Cli, disk: FrozenDisk, *options: str) -> Iterator[int]:
    """A detached container whose only child hangs; its pid. At the end nothing may be left."""
    script = f"trap '' TERM; cd {disk.directory}; sh -c 'while :; do echo more >> file; done' & wait"
    argv = [*disk.within, *cli.argv, "run", "-d", "--name", NAME, *options, "host", "sh", "-c", script]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=TIMEOUT)
        assert (done.returncode, done.stderr) == (0, "")
        yield stuck_child(cli, disk)
    finally:
        disk.thaw()
        assert cli("rm", "-f", NAME).returncode == 0
        assert cli.left() == []


def stuck_child(cli: Cli, disk: FrozenDisk) -> int:
    disk.wait_for_file("file")
    pid = pid_of(cli)
    while children := Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        pid = int(children[0])
    disk.freeze()
    wait_until_stuck(pid)
    return pid


def pid_of(cli: Cli) -> int:
    (listed,) = cli.containers()
    return int(str(listed["pid"]))


@contextlib.contextmanager
def in_background(cli: Cli, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    pipe = subprocess.PIPE
    with subprocess.Popen([*cli.argv, *arguments], stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def condition(cli: Cli) -> str:
    (line,) = [line for line in cli("ps", "-a").stdout.splitlines() if line.startswith(NAME)]
    return line.split("   ")[-1].strip()


@HOWS
def test_it_is_said_and_a_second_time_finishes(cli: Cli, disk: FrozenDisk, options: tuple[str, ...]) -> None:
    with stuck(cli, disk, *options) as child:
        for _ in range(2):
            refused = cli("rm", "-f", "--timeout", "0.3", NAME)
            assert (refused.returncode, refused.stdout) == (125, "")
            assert f"container {NAME} has not ended yet" in refused.stderr
            assert f"{child} (" in refused.stderr, refused.stderr
            assert "waiting uninterruptibly" in refused.stderr
            assert condition(cli) == "destroying"
        disk.thaw()
        assert cli("rm", "-f", NAME).stdout == f"{NAME}\n"
        assert not Path(f"/proc/{child}").exists()


@HOWS
def test_those_who_wait_are_told_when_it_has_ended(
    cli: Cli, disk: FrozenDisk, options: tuple[str, ...]
) -> None:
    """Five that remove, one that stops, one that waits: all are there before the disk thaws."""
    with stuck(cli, disk, *options), contextlib.ExitStack() as stack:
        waiting = stack.enter_context(in_background(cli, "wait", NAME))
        ending = [("stop", "-t", "0", NAME), *[("rm", "-f", "--timeout", str(TIMEOUT), NAME)] * 5]
        others = [stack.enter_context(in_background(cli, *command)) for command in ending]
        for process in (waiting, *others):
            wait_until_it_waits(process)
        disk.thaw()
        assert waiting.communicate(timeout=TIMEOUT) == ("137\n", "")
        for process in others:
            assert process.communicate(timeout=TIMEOUT) == (f"{NAME}\n", "")
            assert process.returncode == 0
        assert cli.containers() == []


def wait_until_it_waits(process: subprocess.Popen[str]) -> None:
    """Until it has opened a process of the container to wait for."""
    deadline = time.monotonic() + TIMEOUT
    while not any("[pidfd]" in name for name in descriptors(process.pid)):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        os.sched_yield()


def descriptors(pid: int) -> Iterator[str]:
    for entry in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            yield os.readlink(f"/proc/{pid}/fd/{entry}")


def test_the_library_says_it_too(cli: Cli, disk: FrozenDisk) -> None:
    with (
        stuck(cli, disk),
        Containerizer(root=str(cli.root), state=str(cli.state), isolation=()) as library,
    ):
        container = library.get(NAME)
        with pytest.raises(DestroyTimeout, match="waiting uninterruptibly"):
            container.destroy(timeout=0.2)
        disk.thaw()
        termination = container.destroy()
        assert termination is not None
        assert termination.exit_code == 137
        assert container.destroy() == termination


def test_a_killed_supervisor_leaves_nothing_either(cli: Cli, disk: FrozenDisk) -> None:
    """The kernel kills what it held; that ends when the disk thaws, and nobody has to come for it."""
    with stuck(cli, disk) as child:
        first = pid_of(cli)
        ended = os.pidfd_open(first)
        os.kill(parent(first), signal.SIGKILL)
        refused = cli("rm", "--timeout", "0.3", "-f", NAME)
        assert (refused.returncode, f"{child} (" in refused.stderr) == (125, True)
        disk.thaw()
        assert select.select([ended], [], [], TIMEOUT)[0]
        os.close(ended)
        assert cli("wait", NAME).stdout == "137\n"
        assert condition(cli) == "killed by SIGKILL"


def test_a_foreground_command_waits_for_the_end(cli: Cli, disk: FrozenDisk) -> None:
    script = f"echo ready; while :; do echo more >> {disk.directory}/file; done"
    argv = [*disk.within, *cli.argv, "run", "--name", NAME, "host", "sh", "-c", script]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        try:
            stuck_child(cli, disk)
            assert cli("rm", "-f", "--timeout", "0.3", NAME).returncode == 125
            assert process.poll() is None
            disk.thaw()
            assert process.wait(TIMEOUT) == 137
        finally:
            disk.thaw()
            assert cli("rm", "-f", NAME).returncode == 0
