"""Whether a process that a record names is still that process: a pid alone may have been reused."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from containerizer.lifecycle import LAUNCHING, State
from containerizer.record import ContainerRecord
from launcher.errors import LaunchFailed
from launcher.kernel.process import stat as _stat

if TYPE_CHECKING:
    from launcher.task import Task


def started_at(pid: int) -> int | None:
    """When the process started, in clock ticks since boot (proc(5), field 22); None when it is gone.

    A zombie has ended, whoever has yet to collect it.
    """
    fields = _stat(pid)
    return None if fields is None else int(fields[19])


def own_start() -> int | None:
    """Of this process."""
    return _start_of(os.getpid())  # which a fork changes


_start_of = functools.lru_cache(maxsize=1)(started_at)


def processes_of(task: Task) -> dict[str, Any]:
    """What a record says of a task's first process and its supervisor. Raises LaunchFailed."""
    parent, started = parent_and_start(task.pid) or (None, None)
    supervisor_started = None if parent is None else started_at(parent)
    if task.is_lost:  # then its parent is whoever takes in orphans
        raise LaunchFailed("cannot clone the child: its supervisor was killed")
    return {
        "pid": task.pid,
        "pid_started": started,
        "supervisor": parent,
        "supervisor_started": supervisor_started,
    }


def parent_and_start(pid: int) -> tuple[int, int] | None:
    """The parent of a process, and `started_at` of itself."""
    fields = _stat(pid)
    return None if fields is None else (int(fields[1]), int(fields[19]))


def open_process(pid: int | None, started: int | None) -> int | None:
    """A pidfd of this very process; None when it has ended.

    Its start is looked at after the pidfd was opened: then both are of the same process.
    """
    if pid is None or started is None:
        return None
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    if started_at(pid) == started:
        return pidfd
    os.close(pidfd)
    return None


def is_running(record: ContainerRecord) -> bool:
    """Whether the container's task runs under its supervisor, or somebody is still launching it."""
    if record.termination is not None:
        return False
    if record.pid is not None:
        found = parent_and_start(record.pid)
        if found is None or found[1] != record.pid_started:
            return False
        return found[0] == record.supervisor or is_supervised(record)  # a child's parent has not ended
    return is_owned(record)


def is_supervised(record: ContainerRecord) -> bool:
    """Whether the supervisor is there, if the container has got one yet.

    With it the kernel has killed the task, which may still wait for that: for a disk, or in a freezer.
    """
    return record.supervisor is None or started_at(record.supervisor) == record.supervisor_started


def state_of(record: ContainerRecord) -> State:
    """The recorded state; a task whose launcher was killed before it could record the release runs."""
    state = State(record.state)
    released = state in (State.ISOLATING, State.FETCHING) and not is_owned(record) and is_running(record)
    return State.RUNNING if released else state


def is_owned(record: ContainerRecord) -> bool:
    """Whether the process that launches, or has launched, the container is there."""
    return started_at(record.owner) == record.owner_started


def is_launching(record: ContainerRecord) -> bool:
    """Whether somebody is at work to launch the container, and will take it back if that fails."""
    return State(record.state) in LAUNCHING and is_owned(record)


def remaining(record: ContainerRecord) -> list[int]:
    """The pids of what has not ended of a container that was killed, whoever others wait for first.

    A PID namespace's first process ends after all others in it, and the supervisor after those.
    """
    for pid, started in ((record.supervisor, record.supervisor_started), (record.pid, record.pid_started)):
        if pid is not None and started_at(pid) == started:
            return [*descendants(pid), pid]
    return []


def descendants(pid: int) -> Iterator[int]:
    """Deepest first, without zombies, as far as they are there while we look."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            children = [int(child) for child in file.read().split()]
    except (FileNotFoundError, ProcessLookupError):
        return
    for child in children:
        yield from descendants(child)
        if _stat(child) is not None:
            yield child
