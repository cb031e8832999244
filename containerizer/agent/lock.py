"""One agent for each directory: a lock of the kernel's, which a killed holder does not leave behind.

A supervisor that outlived its launcher looks at it as well (launcher/supervisor.py): where an agent has
it, that agent takes back what has ended, for it waits for every supervisor, or looks for what has ended
before it does so; then no reaper is executed. A supervisor shares a free lock for a moment. An agent
that stops shares it until its end: what ends from then on is not its business any more.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time

from containerizer.paths import AGENT_LOCK
from launcher.errors import ContainerizerError

_PATIENCE = 0.5  # seconds for those who share the lock for a moment
_PAUSE = 0.005


class DirectoryTaken(ContainerizerError):
    """Another agent serves this directory."""


class DirectoryLocks:
    """Held until closed."""

    def __init__(self, *directories: str) -> None:
        """Makes them if need be. Raises DirectoryTaken, OSError."""
        self._held: list[int] = []
        try:
            for directory in dict.fromkeys(directories):
                self._held.append(_lock(directory))
        except BaseException:
            self.close()
            raise

    def share(self) -> None:
        """Supervisors may have them from now on, and other agents not yet."""
        for descriptor in self._held:
            with contextlib.suppress(BlockingIOError):  # the next agent has it already
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)

    def close(self) -> None:
        for descriptor in self._held:
            os.close(descriptor)
        self._held = []


def _lock(directory: str) -> int:
    os.makedirs(directory, mode=0o755, exist_ok=True)
    path = os.path.join(directory, AGENT_LOCK)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    if not _taken(descriptor):
        holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "of unknown pid"
        os.close(descriptor)
        hint = "stop it first, or give this one other directories"
        raise DirectoryTaken(f"agent {holder} serves {directory}", hint=hint)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def _taken(descriptor: int) -> bool:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_PAUSE)
        else:
            return True
