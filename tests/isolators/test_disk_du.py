"""Containers on a disk: a task that writes, the measurer beside it, and what the isolator tells of both."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from isolators.disk.du import DiskDu
from isolators.disk.register import Asked, Register
from isolators.isolator import ContainerConfig, IsolatorFlags
from isolators.resources import Resources, Usage
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest
from launcher.kernel import inotify
from tests.isolators.support import WEB, go, task

MEBIBYTE = 1 << 20
TIMEOUT = 60  # seconds
AN_HOUR = 3600.0
NESTED = ContainerId("nested", WEB)

WRITE = """
with open({path!r}, "wb") as file:
    for _ in range({mebibytes}):
        file.write(bytes(1 << 20))
print("written", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    assert not (tmp_path / "disk").exists()  # the measurer has ended, or is about to


@pytest.fixture
def make(state: Path) -> Callable[..., DiskDu]:
    def made(**flags: Any) -> DiskDu:
        return DiskDu(IsolatorFlags(own_state=str(state), **flags))

    return made


@contextmanager
def container(
    isolator: DiskDu, sandbox: Path, mebibytes: int, limit: int | None, name: ContainerId = WEB
) -> Iterator[subprocess.Popen[bytes]]:
    """A task that waits, and then writes so much."""
    sandbox.mkdir(parents=True, exist_ok=True)
    config = ContainerConfig(sandbox=str(sandbox), resources=Resources(disk=limit))
    isolator.prepare(name, config)
    try:
        with task(WRITE.format(path=str(sandbox / "file"), mebibytes=mebibytes)) as process:
            isolator.isolate(name, process.pid)
            yield process
    finally:
        isolator.cleanup(name)


def await_usage(isolator: DiskDu, state: Path, enough: Callable[[Usage], bool]) -> Usage:
    """What is measured, once it is enough."""
    deadline = time.monotonic() + TIMEOUT
    with inotify.Changes(str(state / "disk"), inotify.MODIFY) as changes:
        while not enough(usage := isolator.usage(WEB)):
            assert select.select([changes], [], [], deadline - time.monotonic())[0], usage
            changes.forget()
    return usage


def written(process: subprocess.Popen[bytes]) -> None:
    go(process)
    assert process.stdout
    assert process.stdout.readline() == b"written\n"


def measurer(state: Path) -> int:
    """Its pid."""
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if str(state / "disk").encode() in command.split(b"\0"):
            return int(pid)
    raise AssertionError("no measurer is there")


def test_a_task_that_writes_more_than_its_limit_is_killed(
    make: Callable[..., DiskDu], tmp_path: Path
) -> None:
    """Long before the next measurement is due: the filesystem tells of it."""
    isolator = make(container_disk_watch_interval=AN_HOUR)
    with container(isolator, tmp_path / "sandbox", 24, 8 * MEBIBYTE) as process:
        await_usage(isolator, tmp_path, lambda usage: usage.disk_bytes == 0)
        go(process)
        assert process.wait(TIMEOUT) == -signal.SIGKILL
        with contextlib.closing(isolator.watch(WEB)) as watch:
            limitation = watch.check()
        assert limitation
        assert (limitation.isolator, limitation.resource) == ("disk/du", "disk")
        assert limitation.message.endswith("MiB or more: limit 8.0 MiB")
        assert (limitation.fatal, limitation.limit) == (True, 8 * MEBIBYTE)
        assert limitation.usage
        assert limitation.usage > 8 * MEBIBYTE
        assert isolator.reached(WEB) == ()
        assert isolator.limitation(WEB) == limitation
        usage = isolator.usage(WEB)
        assert usage.disk_bytes is not None
        assert usage.disk_bytes > 8 * MEBIBYTE
        assert usage.disk_limit_bytes == 8 * MEBIBYTE


def test_a_task_within_its_limit_goes_on_and_is_measured(make: Callable[..., DiskDu], tmp_path: Path) -> None:
    isolator = make(container_disk_watch_interval=0.05)
    with container(isolator, tmp_path / "sandbox", 4, 8 * MEBIBYTE) as process:
        written(process)
        used = await_usage(isolator, tmp_path, lambda usage: (usage.disk_bytes or 0) >= 4 * MEBIBYTE)
        assert used.disk_bytes == 4 * MEBIBYTE
        assert process.poll() is None
        with contextlib.closing(isolator.watch(WEB)) as watch:
            assert watch.check() is None


def test_a_limit_that_is_not_enforced_is_told_only(make: Callable[..., DiskDu], tmp_path: Path) -> None:
    isolator = make(container_disk_watch_interval=0.05, enforce_container_disk_quota=False)
    with container(isolator, tmp_path / "sandbox", 4, 2 * MEBIBYTE) as process:
        watch = isolator.watch(WEB)
        written(process)
        while not (limitation := watch.check()):
            assert select.select([watch], [], [], TIMEOUT)[0]
        assert (limitation.fatal, limitation.limit) == (False, 2 * MEBIBYTE)
        assert watch.check() is None  # it was told once
        watch.close()
        watch.close()
        await_usage(isolator, tmp_path, lambda usage: usage.disk_bytes == 4 * MEBIBYTE)
        assert [each.usage for each in isolator.reached(WEB)] == [4 * MEBIBYTE]
        (tmp_path / "sandbox" / "more").write_bytes(bytes(MEBIBYTE))
        await_usage(isolator, tmp_path, lambda usage: usage.disk_bytes == 5 * MEBIBYTE)  # a pass later
        assert process.poll() is None
        assert isolator.limitation(WEB) is None


def test_a_limit_is_lowered_and_raised(make: Callable[..., DiskDu], tmp_path: Path) -> None:
    isolator = make(container_disk_watch_interval=AN_HOUR)
    with container(isolator, tmp_path / "sandbox", 4, 2 * MEBIBYTE) as process:
        isolator.update(WEB, Resources(disk=16 * MEBIBYTE))
        written(process)
        isolator.update(WEB, Resources(disk=12 * MEBIBYTE))
        await_usage(isolator, tmp_path, lambda usage: usage.disk_bytes == 4 * MEBIBYTE)
        assert process.poll() is None
        isolator.update(WEB, Resources(disk=3 * MEBIBYTE))
        assert process.wait(TIMEOUT) == -signal.SIGKILL
        limitation = isolator.limitation(WEB)
        assert limitation
        assert "limit 3.0 MiB" in limitation.message


def test_what_is_nested_counts_for_its_root_and_has_a_limit_of_its_own(
    make: Callable[..., DiskDu], tmp_path: Path
) -> None:
    isolator = make(container_disk_watch_interval=0.05)
    below = tmp_path / "sandbox" / "containers" / "nested"
    with (
        container(isolator, tmp_path / "sandbox", 1, 64 * MEBIBYTE),
        container(isolator, below, 6, 4 * MEBIBYTE, NESTED) as process,
    ):
        go(process)
        assert process.wait(TIMEOUT) == -signal.SIGKILL
        assert isolator.limitation(NESTED)
        assert isolator.limitation(WEB) is None
        assert await_usage(isolator, tmp_path, lambda usage: (usage.disk_bytes or 0) > 4 * MEBIBYTE)


@pytest.fixture
def without_measurer(make: Callable[..., DiskDu], tmp_path: Path) -> Callable[[DiskDu], None]:
    def killed(isolator: DiskDu) -> None:
        await_usage(isolator, tmp_path, lambda usage: usage.disk_bytes == 0)
        pidfd = os.pidfd_open(pid := measurer(tmp_path))
        os.kill(pid, signal.SIGKILL)
        assert select.select([pidfd], [], [], TIMEOUT)[0]
        os.close(pidfd)

    return killed


def test_a_measurer_that_was_killed_is_replaced(
    make: Callable[..., DiskDu], without_measurer: Callable[[DiskDu], None], tmp_path: Path
) -> None:
    isolator = make(container_disk_watch_interval=AN_HOUR)
    with container(isolator, tmp_path / "sandbox", 4, 2 * MEBIBYTE) as process:
        without_measurer(isolator)
        written(process)
        make().usage(WEB)  # anybody's, after any restart
        assert process.wait(TIMEOUT) == -signal.SIGKILL
        assert make().limitation(WEB)


def test_who_watches_replaces_a_measurer_that_was_killed(
    make: Callable[..., DiskDu], without_measurer: Callable[[DiskDu], None], tmp_path: Path
) -> None:
    isolator = make(container_disk_watch_interval=0.05)
    with container(isolator, tmp_path / "sandbox", 4, 2 * MEBIBYTE) as process:
        watch = isolator.watch(WEB)
        without_measurer(isolator)
        written(process)
        while not watch.check():
            assert select.select([watch], [], [], TIMEOUT)[0]
        watch.close()
        assert process.wait(TIMEOUT) == -signal.SIGKILL


def test_one_measurer_serves_all_and_ends_with_the_last(make: Callable[..., DiskDu], tmp_path: Path) -> None:
    isolator = make(container_disk_watch_interval=AN_HOUR)
    with container(isolator, tmp_path / "one", 1, None):
        await_usage(isolator, tmp_path, lambda usage: usage.disk_bytes == 0)
        pid = measurer(tmp_path)
        pidfd = os.pidfd_open(pid)
        with container(make(), tmp_path / "two", 1, None, ContainerId("db")):
            assert measurer(tmp_path) == pid
        assert not select.select([pidfd], [], [], 0)[0]
    assert select.select([pidfd], [], [], TIMEOUT)[0]
    os.close(pidfd)


def test_a_process_that_has_another_ones_pid_is_not_killed(tmp_path: Path) -> None:
    """The task has ended, and its number was given away again."""
    register = Register(str(tmp_path / "disk"))
    sandbox = tmp_path / "sandbox"
    sandbox.mkdir()
    (sandbox / "file").write_bytes(bytes(MEBIBYTE))
    with task("sys.stdin.read()") as process:
        asked = Asked(sandbox=str(sandbox), limit=1, interval=AN_HOUR, pid=process.pid, started=1)
        register.ask(WEB, asked)
        with inotify.Changes(str(tmp_path / "disk"), inotify.MODIFY) as changes:
            register.have_measured()
            while register.found(WEB).over is None:
                assert select.select([changes], [], [], TIMEOUT)[0]
                changes.forget()
        pidfd = os.pidfd_open(measurer(tmp_path))
        register.forget(WEB)
        assert select.select([pidfd], [], [], TIMEOUT)[0]  # whatever it wanted to do is done
        os.close(pidfd)
        assert process.poll() is None


@pytest.mark.parametrize("limit", [0, 1, MEBIBYTE - 1])
def test_a_limit_that_fits_nothing_is_refused(make: Callable[..., DiskDu], limit: int) -> None:
    with pytest.raises(InvalidRequest, match=f"disk limit of {limit} bytes is too small"):
        make().check(Resources(disk=limit))


def test_an_unknown_container_uses_nothing(make: Callable[..., DiskDu]) -> None:
    isolator = make()
    assert isolator.usage(WEB) == Usage()
    isolator.isolate(WEB, os.getpid())
    isolator.update(WEB, Resources(disk=MEBIBYTE))
