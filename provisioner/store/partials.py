"""Partials: what pulls have fetched of blobs whose layers are not whole yet, for those that repeat them.

Theory: a file a blob, which grows while it is fetched and goes when its layer is whole. A killed
process leaves it, and the kernel drops its lock. Nothing of it is believed: whoever goes on with it
reads it as the first part of the blob, the whole of which is verified as ever. So nothing is synced,
and a disk that is full, or slow to say so, costs a pull its partial and nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterator

from provisioner.store import locks
from provisioner.store.paths import StorePaths

AGE = 86400.0  # seconds that one counts
MOST = 8 << 30  # bytes of all together; the oldest go first

_WORTH = 64 << 10  # bytes below which another request costs no more than the file
_ROOM = 4  # times the blob's size that has to be free: it is unpacked there, too
_CHUNK = 1 << 20


class Partial:
    """One blob's file, open and locked. Close it."""

    def __init__(self, path: str, fd: int) -> None:
        self._path = path
        self._fd: int | None = fd
        self.grows = True  # False: there is no room for more
        self._position = 0
        self.start = self.size = os.fstat(fd).st_size  # bytes that were there, and that are

    def read(self, size: int, /) -> bytes:
        """Of what was there; none at its end, or when it cannot be read."""
        if self._fd is None:
            return b""
        chunk = os.pread(self._fd, min(size, self.start - self._position), self._position)
        self._position += len(chunk)
        return chunk

    def append(self, chunk: bytes) -> None:
        """Keep it, too; or nothing any more, where the disk will not."""
        if self._fd is None or not self.grows:
            return
        try:
            rest = memoryview(chunk)
            while rest:
                written = os.write(self._fd, rest)
                self.size += written
                rest = rest[written:]
        except OSError:
            self.drop()

    def is_genuine(self, digest: str) -> bool:
        """Whether all of it, as it is now, has the digest."""
        if self._fd is None:
            return False
        found, position = hashlib.new(digest.partition(":")[0]), 0
        while chunk := os.pread(self._fd, _CHUNK, position):
            found.update(chunk)
            position += len(chunk)
        return found.hexdigest() == digest.partition(":")[2]

    def drop(self) -> None:
        """Remove it. Idempotent."""
        if self._fd is not None:
            os.unlink(self._path)  # before the lock goes: the name is nobody else's until then
            self._close()

    def close(self) -> None:
        """Leave it to the next pull, if it is worth that. Idempotent."""
        if self.size < _WORTH:
            self.drop()
        else:
            self._close()

    def _close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def open_partial(paths: StorePaths, digest: str, size: int) -> Partial | None:
    """The file for the blob of so many bytes; None: somebody else has it, or there is no room."""
    path = paths.partial(digest)
    with contextlib.suppress(OSError):
        while True:
            os.makedirs(paths.partials, mode=0o700, exist_ok=True)
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            if not locks.try_lock(fd):
                os.close(fd)
                return None
            if locks.is_current(fd, path):
                break
            os.close(fd)  # it was swept in between
        partial = Partial(path, fd)
        partial.grows = _has_room(paths.partials, size - partial.size)
        if partial.size <= size and (partial.grows or partial.size > 0):
            return partial
        partial.drop()
    return None


def sweep(paths: StorePaths, *, everything: bool) -> None:
    """Remove what is old or too much, or `everything`, but nothing that a pull at work has."""
    found = sorted(_found(paths), reverse=True)  # the newest first
    total = 0
    for changed, path, size in found:
        total += size
        if everything or total > MOST or time.time() - changed > AGE:
            locks.remove_if_unheld(path)


def total(paths: StorePaths) -> int:
    """Bytes of all."""
    return sum(size for _, _, size in _found(paths))


def _found(paths: StorePaths) -> Iterator[tuple[float, str, int]]:
    try:
        names = os.listdir(paths.partials)
    except FileNotFoundError:
        return
    for name in names:
        path = f"{paths.partials}/{name}"
        with contextlib.suppress(FileNotFoundError):
            status = os.stat(path, follow_symlinks=False)
            yield status.st_mtime, path, status.st_size


def _has_room(path: str, size: int) -> bool:
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize >= _ROOM * size
