"""Small files, such as the kernel's own, with no system call but open, read and close.

Python's open() asks of each file whether it is a directory, a terminal, and where in it one is, and
makes three objects to read it: five times as much work as the reading itself.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator

_PART = 16 * 1024  # bytes
_LONGEST_LINE = 3 * 1024  # bytes, of files that are read by `read_short`
_PAGE = 4 * 1024


def read(path: str, limit: int) -> bytes:
    """What the file holds, up to about `limit` bytes. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        content = part = os.read(descriptor, _PART)
        while part and len(content) < limit:  # the kernel hands out long files of its own in parts
            part = os.read(descriptor, _PART)
            content += part
    finally:
        os.close(descriptor)
    return content


def read_short(path: str, limit: int) -> bytes:
    """As `read`, of what is rarely longer than a page: on a disk, or of the kernel's with short lines.

    The kernel hands out as many lines as a page has room for: one that is missing would have had some.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        content = part = os.read(descriptor, _PART)
        while len(part) > _PAGE - _LONGEST_LINE and len(content) < limit:
            part = os.read(descriptor, _PART)
            content += part
    finally:
        os.close(descriptor)
    return content


def read_at_once(path: str, limit: int) -> bytes:
    """What one read(2) has of the file: all of it, on a disk or where the kernel has one record there."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, limit)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(path: str, *, shared: bool = False) -> Iterator[None]:
    """Hold the file's lock, flock(2), waiting for it; the file, and its directory, are made. Raises OSError.

    A holder that is killed leaves no lock, and the file stays.
    """
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
