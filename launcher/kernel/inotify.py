"""inotify(7): be told of what changes in a directory."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator

from launcher.kernel.libc import function

MODIFY = 0x2
MOVED_TO = 0x80
CREATE = 0x100
DELETE = 0x200
DELETE_SELF = 0x400
OVERFLOW = 0x4000
IGNORED = 0x8000  # the watch is gone, with its directory

_EVENTS = 64 * 1024  # bytes, more than the queue's worth that anyone waits for

_init = function("inotify_init1", ctypes.c_int)
_EVENT = struct.Struct("iIII")  # struct inotify_event: wd, mask, cookie, and the length of the name after it
_add_watch = function("inotify_add_watch", ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32)


def watch(directory: str, events: int) -> int:
    """A descriptor that polls readable after any of the events. Raises SyscallError."""
    descriptor = _init("inotify", os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        _add_watch(directory, descriptor, os.fsencode(directory), events)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def drain(descriptor: int) -> None:
    """Forget the events that have come, so that the descriptor polls readable after the next one."""
    try:
        os.read(descriptor, _EVENTS)
    except BlockingIOError:
        return


class Changes:
    """Polls readable when one of the events has happened in the directory since the last `forget`."""

    def __init__(self, directory: str, events: int) -> None:
        """Raises SyscallError, with ENOENT where there is no such directory."""
        self._descriptor = watch(directory, events)

    def __enter__(self) -> Changes:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def fileno(self) -> int:
        return self._descriptor

    def forget(self) -> None:
        """Take what has been told so far as read."""
        drain(self._descriptor)


class Watches:
    """Many directories on one descriptor, which polls readable when there is something to `read`."""

    def __init__(self) -> None:
        self._descriptor = _init("inotify", os.O_CLOEXEC | os.O_NONBLOCK)

    def __enter__(self) -> Watches:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def fileno(self) -> int:
        return self._descriptor

    def add(self, directory: str, events: int) -> int:
        """The number by which `read` tells of this directory. Raises SyscallError."""
        return _add_watch(directory, self._descriptor, os.fsencode(directory), events)

    def read(self) -> Iterator[tuple[int, int, str]]:
        """(directory's number, mask, name) of what has happened. -1, and OVERFLOW: some is lost."""
        try:
            told = os.read(self._descriptor, _EVENTS)
        except BlockingIOError:
            return
        position = 0
        while position < len(told):
            number, mask, _, length = _EVENT.unpack_from(told, position)
            position += _EVENT.size + length
            yield number, mask, os.fsdecode(told[position - length : position].rstrip(b"\0"))
