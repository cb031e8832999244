"""Small files, such as the kernel's own, with no system call but open, read and close.

Python's open() asks of each file whether it is a directory, a terminal, and where in it one is, and
makes three objects to read it: five times as much work as the reading itself.
"""

from __future__ import annotations

import os

_PART = 16 * 1024  # bytes


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


def read_at_once(path: str, limit: int) -> bytes:
    """What one read(2) has of the file: all of it, on a disk or where the kernel has one record there."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, limit)
    finally:
        os.close(descriptor)
