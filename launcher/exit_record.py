"""The record of an exit status: what is left of a task when launcher and supervisor are gone.

On disk, and on the channel to the launcher, it is the same 24 bytes, so that a supervisor which
cannot calculate (launcher/supervisor.py) can write it: a mark, the status as wait(2) has it, and the
time as clock_gettime(2) has it.
"""

from __future__ import annotations

import contextlib
import os
import struct
import time

from launcher.data import Data
from launcher.exit_status import ExitStatus

RECORD = struct.Struct("=4sIqq")
STATUS, TIME = 4, 8  # where they lie in it
MARK = b"ctz1"
ROOM = 4096  # bytes: a block; the record is much shorter

_NANOSECONDS = 1_000_000_000


class ExitRecord(Data):
    """What a record says."""

    status: ExitStatus
    finished_at: float  # seconds since the epoch


def pack(wait_status: int) -> bytes:
    """The record of a task that has ended just now."""
    return RECORD.pack(MARK, wait_status, *divmod(time.time_ns(), _NANOSECONDS))


def unpack(record: bytes) -> ExitRecord:
    """Raises ValueError for what is no record."""
    if len(record) != RECORD.size or not record.startswith(MARK):
        raise ValueError(f"no record of an exit status: {record[:40]!r}")
    _, status, seconds, nanoseconds = RECORD.unpack(record)
    return ExitRecord(ExitStatus.from_wait(status), seconds + nanoseconds / _NANOSECONDS)


def read(path: str) -> ExitRecord:
    """Raises OSError, and ValueError."""
    return unpack(read_packed(path))


def read_packed(path: str) -> bytes:
    """The record as it is. Raises OSError."""
    with open(path, "rb", buffering=0) as file:
        return file.read(RECORD.size + 1)


def being_written(path: str) -> str:
    """The name of the record at `path` until it is whole."""
    return f"{path}.new"


def reserve(path: str) -> None:
    """Take the disk space for the record while there is some: the task may fill the disk.

    Not where that fails: then `write` still may succeed. Raises nothing.
    """
    with contextlib.suppress(OSError):
        descriptor = os.open(being_written(path), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, ROOM)
        finally:
            os.close(descriptor)


def write(path: str, record: bytes) -> None:
    """Write it so that it is there whole or not at all, power cut included. Raises OSError."""
    descriptor = os.open(being_written(path), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, record)  # into the blocks that were reserved, so before they are cut off
        os.ftruncate(descriptor, len(record))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.rename(being_written(path), path)
