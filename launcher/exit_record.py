"""The record of an exit status: what is left of a task when launcher and supervisor are gone."""

from __future__ import annotations

import contextlib
import os
import time

from launcher.exit_status import ExitStatus

_ROOM = 4096  # bytes: a block; the record is much shorter


def reserve(path: str) -> None:
    """Take the disk space for the record while there is some: the task may fill the disk.

    Not where that fails: then `write` still may succeed. Raises nothing.
    """
    with contextlib.suppress(OSError):
        descriptor = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, _ROOM)
        finally:
            os.close(descriptor)


def write(path: str, status: ExitStatus) -> None:
    """Write it so that it is there whole or not at all, power cut included. Raises OSError."""
    body = _json(status)
    descriptor = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, body)  # into the blocks that were reserved, so before they are cut off
        os.ftruncate(descriptor, len(body))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.rename(f"{path}.new", path)


def _json(status: ExitStatus) -> bytes:
    """By hand, as in `launcher.protocol`: a supervisor has use for little else of json."""
    code, number = (b"null" if value is None else b"%d" % value for value in (status.code, status.signal))
    return b'{"version": 1, "code": %b, "signal": %b, "finished_at": %.6f}' % (code, number, time.time())
