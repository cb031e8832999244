"""Running containers that others enter: the namespaces, held by descriptors from a verified process on.

Its pid may be another process' by the time that somebody joins them.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from containerizer import checkpoint
from containerizer import record as records
from containerizer.lifecycle import State
from containerizer.liveness import started_at, state_of
from containerizer.paths import Paths
from containerizer.record import ContainerRecord
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest
from launcher.io.loop import is_ready
from launcher.launch_info import LaunchInfo
from launcher.namespaces import KINDS

if TYPE_CHECKING:
    from containerizer.owner import Owner


@contextlib.contextmanager
def opened(owner: Owner, container_id: ContainerId) -> Iterator[tuple[LaunchInfo, dict[str, str]]]:
    """How a running container was launched, and paths to those of its namespaces that are not ours."""
    record = records.load(owner.paths, container_id)
    with contextlib.ExitStack() as held:
        process = _open_task(record)
        held.callback(os.close, process)
        _refuse_paused(owner, container_id)
        namespaces = {}
        for kind in KINDS:
            path = f"/proc/{record.pid}/ns/{kind}"
            with _ended(container_id):
                if os.stat(path).st_ino != os.stat(f"/proc/self/ns/{kind}").st_ino:
                    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                    held.callback(os.close, descriptor)
                    namespaces[kind] = f"/proc/{os.getpid()}/fd/{descriptor}"
        if is_ready(process):  # then these may have been another process'
            raise _not_running(container_id)
        yield LaunchInfo.from_json(checkpoint.read(owner.paths.launch_info(container_id)) or {}), namespaces


def network_files(paths: Paths, container_id: ContainerId) -> str | None:
    """The directory of hosts and resolv.conf of the network that a container is in; None: it has none."""
    each: ContainerId | None = container_id
    while each is not None:
        directory = paths.network_files(each)
        if os.path.isdir(directory):
            return directory
        each = each.parent
    return None


def first_process(owner: Owner, container_id: ContainerId) -> int:
    """The container's first process, by the innermost PID namespace that it is in: proc_pid_status(5)."""
    pid = records.load(owner.paths, container_id).pid
    with _ended(container_id), open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
        return next(int(line.split()[-1]) for line in file if line.startswith("NSpid:"))


def _open_task(record: ContainerRecord) -> int:
    """A pidfd of the container's first process. Raises InvalidRequest."""
    if record.pid is None or state_of(record) is not State.RUNNING:
        raise _not_running(record.id)
    with _ended(record.id):
        process = os.pidfd_open(record.pid)
    if started_at(record.pid) != record.pid_started:
        os.close(process)
        raise _not_running(record.id)
    return process


def _refuse_paused(owner: Owner, container_id: ContainerId) -> None:
    """Who joins a frozen cgroup stands still, and so would whoever waits for it."""
    from containerizer.remote import RemoteContainer  # only those in others need it

    if RemoteContainer(owner, container_id).paused:
        hint = "`containerizer unpause` lets it go on"
        raise InvalidRequest(f"container {container_id} is paused", hint=hint)


@contextlib.contextmanager
def _ended(container_id: ContainerId) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, ProcessLookupError):
        raise _not_running(container_id) from None


def _not_running(container_id: ContainerId) -> InvalidRequest:
    hint = "`containerizer ps --all` shows its state"
    return InvalidRequest(f"container {container_id} is not running", hint=hint)
