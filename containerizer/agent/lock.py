"""One agent for each directory: a lock of the kernel's, which a killed holder does not leave behind."""

from __future__ import annotations

import fcntl
import os

from launcher.errors import ContainerizerError

NAME = "agent.lock"


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

    def close(self) -> None:
        for descriptor in self._held:
            os.close(descriptor)
        self._held = []


def _lock(directory: str) -> int:
    os.makedirs(directory, mode=0o755, exist_ok=True)
    path = os.path.join(directory, NAME)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "of unknown pid"
        os.close(descriptor)
        hint = "stop it first, or give this one other directories"
        raise DirectoryTaken(f"agent {holder} serves {directory}", hint=hint) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor
