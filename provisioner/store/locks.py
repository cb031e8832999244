"""flock(2): who may use the store, who may delete from it, and who makes a layer.

The kernel drops a lock with the last descriptor, so a killed process never leaves one behind. Each
lock opens its file anew: threads of one process exclude each other like processes do.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC


def _open(path: str) -> int:
    try:
        return os.open(path, _FLAGS, 0o600)
    except FileNotFoundError:  # the first one's directory
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        return os.open(path, _FLAGS, 0o600)


@contextlib.contextmanager
def shared(path: str) -> Iterator[None]:
    """Hold the lock with others; held for moments only, so that deleters get their turn."""
    with _held(path, fcntl.LOCK_SH):
        yield


@contextlib.contextmanager
def exclusive(path: str) -> Iterator[None]:
    """Hold the lock alone."""
    with _held(path, fcntl.LOCK_EX):
        yield


@contextlib.contextmanager
def _held(path: str, operation: int) -> Iterator[None]:
    fd = _open(path)
    try:
        fcntl.flock(fd, operation)
        yield
    finally:
        os.close(fd)


@contextlib.contextmanager
def for_key(path: str, wait: Callable[[], None]) -> Iterator[None]:
    """Hold the lock file of one thing alone; `wait` is called between tries and may raise.

    The file exists only while it is used. Who gets the lock of a file that has been removed or
    replaced meanwhile holds nothing, and tries again.
    """
    while True:
        fd = _open(path)
        try:
            if try_lock(fd) and is_current(fd, path):
                try:
                    yield
                finally:
                    os.unlink(path)
                return
        finally:
            os.close(fd)
        wait()


def remove_unheld(directory: str) -> None:
    """Remove the lock files that killed processes left."""
    for name in os.listdir(directory) if os.path.isdir(directory) else ():
        remove_if_unheld(f"{directory}/{name}")


def remove_if_unheld(path: str) -> None:
    """Remove a file that its user would have locked."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if try_lock(fd) and is_current(fd, path):
            os.unlink(path)
    finally:
        os.close(fd)


def try_lock(fd: int) -> bool:
    """Lock the open file alone unless somebody else has it."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_current(fd: int, path: str) -> bool:
    """Whether the name is still the open file's."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False
