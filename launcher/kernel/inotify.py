"""inotify(7): be told of what changes in a directory."""

from __future__ import annotations

import ctypes
import os

from launcher.kernel.libc import function

MODIFY = 0x2
MOVED_TO = 0x80
CREATE = 0x100
DELETE = 0x200
DELETE = 0x200
DELETE_SELF = 0x400

_EVENTS = 64 * 1024  # bytes, more than the queue's worth that anyone waits for

_init = function("inotify_init1", ctypes.c_int)
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
