"""A container without cgroups, as /proc shows it: what its task has started, and what is in its session.

What leaves both, a daemon, is no more seen than the posix launcher ends it; what is nested in the container
has a session of its own, and is not counted. See proc_pid_stat(5), proc_pid_status(5), credentials(7).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from typing import Any

from launcher.container_id import ContainerId
from launcher.kernel import files, process

_GONE = (FileNotFoundError, ProcessLookupError)
_MAX_STATUS = 16 * 1024  # bytes; it has a few thousand


class Notes:
    """Files that an isolator has of its containers: which task is whose, for whoever asks after a restart."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def write(self, container_id: ContainerId, **values: int | None) -> None:
        """Add to what is known. Raises OSError."""
        os.makedirs(self._directory, mode=0o700, exist_ok=True)
        path = self._path(container_id)
        beside = f"{path}.{os.getpid()}"
        with open(beside, "w", encoding="ascii") as file:
            json.dump({**self.read(container_id), **values}, file)
        os.replace(beside, path)

    def read(self, container_id: ContainerId) -> dict[str, Any]:
        """Empty for an unknown one."""
        try:
            with open(self._path(container_id), encoding="ascii") as file:
                values: dict[str, Any] = json.load(file)
                return values
        except FileNotFoundError:
            return {}

    def remember(self, container_id: ContainerId, pid: int) -> None:
        """Which process is its task. Raises OSError."""
        self.write(container_id, pid=pid, started=process.started_at(pid))

    def processes(self, container_id: ContainerId) -> list[int]:
        """Their pids; none when its task has ended."""
        values = self.read(container_id)
        pid, started = values.get("pid"), values.get("started")
        if pid is None or started is None or process.started_at(pid) != started:
            return []
        return sorted({pid, *_descendants(pid), *_session(pid)})

    def forget(self, container_id: ContainerId) -> None:
        """Unknown ones are fine."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path(container_id))
        with contextlib.suppress(OSError):  # others are there
            os.rmdir(self._directory)

    def _path(self, container_id: ContainerId) -> str:
        return os.path.join(self._directory, hashlib.sha256(str(container_id).encode()).hexdigest())


def status(pid: int) -> dict[str, int]:
    """The sizes of memory of a process, in bytes; none of one that is gone or has none."""
    with contextlib.suppress(*_GONE):
        lines = files.read(f"/proc/{pid}/status", _MAX_STATUS).decode(errors="replace").splitlines()
        fields = (line.split() for line in lines)
        return {f[0].rstrip(":"): int(f[1]) << 10 for f in fields if len(f) == 3 and f[2] == "kB"}
    return {}


def _descendants(pid: int) -> Iterator[int]:
    """Each thread has children of its own."""
    with contextlib.suppress(*_GONE):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(*_GONE):
                for child in files.read(f"/proc/{pid}/task/{thread}/children", 1 << 20).split():
                    yield int(child)
                    yield from _descendants(int(child))


def _session(leader: int) -> Iterator[int]:
    """Those whose parent has ended, too."""
    with contextlib.suppress(*_GONE):
        if os.getsid(leader) != leader:
            return
    for name in os.listdir("/proc"):
        if name.isdecimal():
            with contextlib.suppress(*_GONE, PermissionError):
                if os.getsid(int(name)) == leader:
                    yield int(name)
