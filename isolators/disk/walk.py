"""What a directory takes on the disk, measured in small steps while its owner may change it.

One descriptor walks the tree: down by openat(2), never through a link or into another filesystem, and
up by `..`, which is checked. So a tree may be as deep as it likes, and whatever is moved meanwhile, the
walk stays below its root. What is moved may be missed, or counted twice: the caller asks again.

Files with nothing in them count, too, once there are many: isolators/disk/limits.py says why.

A file with several names counts a part at each of them. So nothing has to be remembered of it, or a task
could make links until the host's memory is full; and it counts for what it is once all names were seen.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator, Iterator

from isolators.disk import limits
from launcher.data import Data

_BLOCK = 512  # bytes: the unit of st_blocks, stat(2)
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class _Level(Data):
    name: str
    identity: tuple[int, int]  # device and inode
    pending: list[str]  # directories in it that are still to be seen


class Walk:
    """One pass over a tree."""

    def __init__(self, root: str) -> None:
        self._files = 0.0
        self._whole = 0  # bytes of what has one name
        self._parts = 0.0  # and of what has more
        self._root = root
        self._fd: int | None = None
        self._entries = self._walk()

    @property
    def total(self) -> int:
        """The bytes found so far; or a block for each file, where there are more of them than that."""
        return max(self._whole + round(self._parts), round(self._files - limits.FREE) * limits.BLOCK)

    def step(self, entries: int) -> bool:
        """Look at so many entries at most; whether all have been seen."""
        return sum(1 for _ in zip(range(entries), self._entries, strict=False)) < entries

    def close(self) -> None:
        """Give up. Idempotent."""
        self._entries.close()
        self._move(None)

    def _walk(self) -> Generator[None, None, None]:
        levels: list[_Level] = []
        self._move(_open(self._root))
        if self._fd is not None:
            levels.append(_level("", self._fd))
            yield from self._list(levels[-1])
        while levels:
            if not levels[-1].pending:
                self._ascend(levels)
                continue
            name = levels[-1].pending.pop()
            below = None if self._fd is None else _open(name, self._fd)
            yield None
            if below is None:
                continue  # gone, or a link by now
            level = _level(name, below)
            if level.identity[0] != levels[0].identity[0]:
                os.close(below)  # something is mounted there
                continue
            self._move(below)
            levels.append(level)
            yield from self._list(level)

    def _list(self, level: _Level) -> Iterator[None]:
        assert self._fd is not None
        with contextlib.suppress(OSError), os.scandir(self._fd) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):  # gone
                    self._count(entry, level)
                yield None

    def _count(self, entry: os.DirEntry[str], level: _Level) -> None:
        status = entry.stat(follow_symlinks=False)
        is_directory = entry.is_dir(follow_symlinks=False)
        self._files += 1 if is_directory else 1 / status.st_nlink
        if is_directory:
            if status.st_dev != level.identity[0]:
                return
            level.pending.append(entry.name)
        elif status.st_nlink > 1:
            self._parts += status.st_blocks * _BLOCK / status.st_nlink
            return
        self._whole += status.st_blocks * _BLOCK

    def _ascend(self, levels: list[_Level]) -> None:
        levels.pop()
        if not levels:
            self._move(None)
            return
        above = None if self._fd is None else _open("..", self._fd)
        if above is not None and _identity(above) != levels[-1].identity:
            os.close(above)
            above = None
        self._move(above if above is not None else self._again(levels))

    def _again(self, levels: list[_Level]) -> int | None:
        """The way to the last level from the root, after something on it was moved; what is gone goes."""
        fd = _open(self._root)
        for depth, level in enumerate(levels):
            below = fd if depth == 0 or fd is None else _open(level.name, fd)
            if below is None or _identity(below) != level.identity:
                if below is not None and below != fd:
                    os.close(below)
                del levels[max(depth, 1) :]
                return fd
            if below != fd and fd is not None:
                os.close(fd)
            fd = below
        return fd

    def _move(self, fd: int | None) -> None:
        if self._fd is not None:
            os.close(self._fd)
        self._fd = fd


def _open(name: str, directory: int | None = None) -> int | None:
    try:
        return os.open(name, _DIRECTORY, dir_fd=directory)
    except OSError:
        return None


def _level(name: str, fd: int) -> _Level:
    return _Level(name, _identity(fd), [])


def _identity(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino
