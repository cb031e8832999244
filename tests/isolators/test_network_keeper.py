"""A program that runs as long as a task, and what is left of it when somebody is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from isolators.isolator import IsolatorFlags
from isolators.network.helper import keeper, records
from isolators.network.helper.keeper import HelperFailed, Started
from isolators.network.helper.records import Record
from isolators.network.usermode import NetworkUsermode
from launcher.container_id import ContainerId
from tests.launcher.support import wait_for_end

READY = f"echo ready >&{keeper.DESCRIPTORS.ready}; exec sleep 1000"

Start = Callable[..., Started]


@pytest.fixture
def task() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "1000"]) as process:
        yield process
        process.kill()


@pytest.fixture
def start(tmp_path: Path, task: subprocess.Popen[bytes]) -> Start:
    def run(script: str = READY) -> Started:
        pidfd, directory = os.pidfd_open(task.pid), os.open(tmp_path, os.O_RDONLY)
        try:
            argv = ["sh", "-c", script]
            return keeper.start("/bin/sh", argv, {"PATH": "/bin"}, directory=directory, task=pidfd)
        finally:
            os.close(pidfd)
            os.close(directory)

    return run


def program_of(started: Started) -> int:
    """A pidfd of what it runs."""
    children = Path(f"/proc/{started.pid}/task/{started.pid}/children").read_text().split()
    return os.pidfd_open(int(children[0]))


def test_the_program_ends_with_the_task(start: Start, task: subprocess.Popen[bytes]) -> None:
    started = start()
    program, own = program_of(started), os.pidfd_open(started.pid)
    task.kill()
    wait_for_end(program)
    wait_for_end(own)


def test_the_program_ends_with_its_keeper(start: Start) -> None:
    started = start()
    program = program_of(started)
    os.kill(started.pid, signal.SIGKILL)
    wait_for_end(program)


def test_who_ends_it_can_start_another_at_once(start: Start, tmp_path: Path) -> None:
    for _ in range(2):
        started = start()
        program = program_of(started)
        keeper.end(started, str(tmp_path))
        wait_for_end(
            program
        )  # descriptors go before it: nothing is held by now, though it may not be collected
        keeper.end(started, str(tmp_path))


def test_a_program_that_fails_is_told_of(start: Start) -> None:
    with pytest.raises(HelperFailed, match="sh has failed: first; no way out"):
        start("echo first; echo no way out >&2; exit 3")


def test_a_program_that_is_not_there_is_told_of(tmp_path: Path, task: subprocess.Popen[bytes]) -> None:
    pidfd, directory = os.pidfd_open(task.pid), os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(FileNotFoundError, match="/nowhere"):
            keeper.start("/nowhere", ["nowhere"], {}, directory=directory, task=pidfd)
    finally:
        os.close(pidfd)
        os.close(directory)


def test_it_has_no_descriptors_but_those_it_is_told_of(start: Start, tmp_path: Path) -> None:
    started = start(f"ls /proc/self/fd > {tmp_path}/seen; {READY}")
    of_ls = 1  # the directory that it lists
    own = keeper.DESCRIPTORS
    seen = {int(number) for number in (tmp_path / "seen").read_text().split()}
    assert len(seen - {0, 1, 2, own.ready, own.directory}) == of_ls
    keeper.end(started, str(tmp_path))


def test_a_python_that_ignores_signals_hands_none_of_that_on(start: Start, tmp_path: Path) -> None:
    show = "import signal; print(signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL)"
    before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    try:
        started = start(f"{sys.executable} -I -S -c '{show}' > {tmp_path}/seen; {READY}")
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert (tmp_path / "seen").read_text() == "True\n"
    keeper.end(started, str(tmp_path))


def test_an_agent_ends_what_is_of_no_container(start: Start, tmp_path: Path) -> None:
    isolator = NetworkUsermode(IsolatorFlags(networks=str(tmp_path), networks_state=str(tmp_path / "state")))
    for name in ("gone", "there"):
        Path(isolator.places.usermode(name)).mkdir(parents=True)
        Record(program="pasta", families=(4,), keeper=start() if name == "gone" else None).save(
            isolator.places.usermode(name)
        )
    started = records.load(isolator.places.usermode("gone"))
    assert started
    assert started.keeper
    program = program_of(started.keeper)
    removed = isolator.recover(lambda container_id: container_id == ContainerId("there"))
    assert removed == ["network of container gone"]
    wait_for_end(program)
    assert os.listdir(isolator.places.usermode()) == ["there"]
    assert isolator.status(ContainerId("there"))["ports"] == []
