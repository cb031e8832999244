"""The log of a task's output: a file that is rotated by size, in the format of Kubernetes' CRI.

    2016-10-06T00:17:09.669794202Z stdout F a whole line
    2016-10-06T00:17:09.669799999Z stderr P the beginning of a lin
    2016-10-06T00:17:10.113242941Z stderr F e

F is a line with its end, P a part of one without: a reader that puts the contents together, with a
newline after each F, has the very bytes that the task wrote. Each chunk is one write(2) with
O_APPEND, so whoever is killed leaves whole lines, save the last.

A log that cannot be written (a full disk) never stops the task: what is lost is counted, and the
count is a line of stderr as soon as writing works again.

See kubernetes/design-proposals-archive, node/kubelet-cri-logging.md.
"""

from __future__ import annotations

import contextlib
import os
import time

from launcher.stdio import LogLimits

_MODE = 0o600  # output may hold secrets


class LogFile:
    """`path`, and before it `path`.1, `path`.2 …, the newest first."""

    def __init__(self, path: str, limits: LogLimits) -> None:
        self._path = path
        self._limits = limits
        self._file = -1
        self._size = 0
        self._lost = 0  # bytes of output
        self._reason = ""

    def write(self, stream: str, data: bytes) -> None:
        """Log what the task wrote to "stdout" or "stderr"."""
        now = timestamp(time.time_ns())
        try:
            # Together, or notes alone would fill up the little room that the last one needs.
            note = self._note(now) if self._lost else b""
            self._append(note + _records(f"{now} {stream}", data))
            self._lost = 0
        except OSError as error:
            self._lost += len(data)
            self._reason = error.strerror or str(error)

    def note(self, text: str) -> None:
        """Say something of our own."""
        self.write("stderr", f"[containerizer: {text}]\n".encode())

    def reopen(self) -> None:
        """Go on in a new file, since the old one has another name now. Raises OSError: it goes on in that."""
        file = _open(self._path)
        if self._file >= 0:
            os.close(self._file)
        self._file, self._size = file, os.fstat(file).st_size

    def close(self) -> None:
        """Nothing more comes. A loss is noted now, if that is possible."""
        if self._lost:
            with contextlib.suppress(OSError):
                self._append(self._note(timestamp(time.time_ns())))
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _note(self, now: str) -> bytes:
        text = f"containerizer: {self._lost} bytes of output were not logged: {self._reason}"
        return f"{now} stderr F [{text}]\n".encode()

    def _append(self, records: bytes) -> None:
        """All of it or nothing, OSError then."""
        if self._file < 0:
            self._file = _open(self._path)
            self._size = os.fstat(self._file).st_size
        if self._limits.path is None and self._size and self._size + len(records) > self._limits.size:
            self._rotate()
        written = 0
        try:
            while written < len(records):
                written += os.write(self._file, memoryview(records)[written:])
        except OSError:
            os.ftruncate(self._file, self._size)
            raise
        self._size += len(records)

    def _rotate(self) -> None:
        """Start a new file. If it cannot be made, the old one stays as it is and OSError is raised."""
        beside = f"{self._path}.new"
        file = _open(beside)
        try:
            for number in range(self._limits.files - 1, 0, -1):
                older = self._path if number == 1 else f"{self._path}.{number - 1}"
                with contextlib.suppress(FileNotFoundError):
                    os.rename(older, f"{self._path}.{number}")
            os.rename(beside, self._path)
        except OSError:
            os.close(file)
            raise
        os.close(self._file)
        self._file, self._size = file, 0


def _open(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, _MODE)


def timestamp(nanoseconds: int) -> str:
    """RFC 3339 in UTC, of nanoseconds since the epoch."""
    seconds, nanoseconds = divmod(nanoseconds, 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{nanoseconds:09}Z"


def _records(prefix: str, data: bytes) -> bytes:
    """A record for each line of a chunk, and one for a part of a line at its end."""
    full = f"{prefix} F ".encode()
    lines, newline, rest = data.rpartition(b"\n")
    records = full + lines.replace(b"\n", b"\n" + full) + b"\n" if newline else b""
    return records + f"{prefix} P ".encode() + rest + b"\n" if rest else records
