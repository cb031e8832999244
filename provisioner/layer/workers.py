"""Workers: processes that unpack layers, started when they are needed and used again.

They are spawned with an interpreter of their own, since to fork a process with threads is not safe,
and end when their stdin does: however this process ends, none is left behind. Data crosses as JSON
and as the blob itself (layer.worker has the protocol).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import sys
import threading
from collections.abc import Mapping
from typing import Any

from launcher.data import asdict, replace
from launcher.kernel import process
from provisioner.errors import DigestMismatch, StoreError
from provisioner.layer.apply import Job, Unpacked
from provisioner.layer.limits import Budget, LimitExceeded
from provisioner.layer.stream import CHUNK, MalformedContent, Verified

_PIPE = 1 << 20  # bytes: what an unprivileged process may have
_LOOK = 200  # milliseconds between looks whether the pull still wants the layer

# Isolated and without site, as the fork server: no path of the environment is searched for modules.
_BOOTSTRAP = "import sys; sys.path += sys.argv[1:]; from provisioner.layer import worker; worker.main()"


class Workers:
    """Use as a context manager; leaving it ends those that are left. Safe for several threads."""

    def __init__(self) -> None:
        self._idle: list[_Worker] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        while self._idle:
            self._idle.pop().end()

    def apply(self, job: Job, blob: Verified, size: int, budget: Budget) -> Unpacked:
        """As layer.apply.apply, with a blob of `size` bytes, which is verified to its end.

        Raises what that raises, StoreError when the worker ends early, and what reading raises.
        """
        with self._lock:
            worker = self._idle.pop() if self._idle else None
        worker = worker or _Worker()
        account = _Account(budget)
        try:
            outcome = worker.perform(_message(job, size, budget), blob, account)
            if "error" in outcome:
                raise _error(outcome)
        except BaseException:
            account.give_back()
            worker.end()
            raise
        with self._lock:
            self._idle.append(worker)
        return Unpacked(
            size=outcome["size"],
            implicit=tuple(map(os.fsencode, outcome["implicit"])),
            whiteouts=tuple(map(os.fsencode, outcome["whiteouts"])),
            skipped=tuple(outcome["skipped"]),
        )


def _message(job: Job, size: int, budget: Budget) -> bytes:
    job = replace(job, umask=0)
    message = {"job": asdict(job), "size": size, "limits": asdict(budget.left())}
    return json.dumps(message).encode() + b"\n"


def _error(outcome: Mapping[str, Any]) -> Exception:
    message = outcome["message"]
    match outcome["error"]:
        case "limit":
            return LimitExceeded(message)
        case "malformed":
            return MalformedContent(message)
        case "digest":
            return DigestMismatch(message)
        case "os":
            return OSError(outcome["errno"], message, outcome["file"])
    return StoreError(message)


class _Account:
    """What one layer has taken of the budget so far: layers that are unpacked at once keep it together."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._size = self._entries = 0

    def told(self, size: int, entries: int) -> None:
        """It is so much by now. Raises LimitExceeded."""
        more = (size - self._size, entries - self._entries)
        self._size, self._entries = size, entries
        self._budget.spend(*more)

    def give_back(self) -> None:
        """It will be unpacked again, or not at all."""
        with contextlib.suppress(LimitExceeded):
            self._budget.spend(-self._size, -self._entries)


class _Worker:
    """One process, and this process's ends of its pipes."""

    def __init__(self) -> None:
        theirs_in, self._in = _pipe()
        self._out, theirs_out = _pipe()
        try:
            self._pid = _spawn(theirs_in, theirs_out)
        except BaseException:
            os.close(self._in)
            os.close(self._out)
            raise
        finally:
            os.close(theirs_in)
            os.close(theirs_out)
        self._said = b""  # of a line that is still to come whole
        self._outcome: dict[str, Any] | None = None  # of the job, once it is told
        os.set_blocking(self._in, False)
        with contextlib.suppress(PermissionError):  # the user's pipes are many: a small one does
            fcntl.fcntl(self._in, fcntl.F_SETPIPE_SZ, _PIPE)

    def perform(self, message: bytes, blob: Verified, account: _Account) -> dict[str, Any]:
        """Hand the job and its blob over; what became of it. Raises LimitExceeded."""
        self._outcome = None
        with contextlib.suppress(BrokenPipeError):  # it has failed, and says why
            self._feed(message, blob, account)
            while chunk := blob.read(CHUNK):
                self._feed(chunk, blob, account)
        while self._outcome is None:
            self._wait(self._out, select.POLLIN, blob)
            self._hear(account)
        return self._outcome

    def end(self) -> None:
        """End the process, whatever it does."""
        os.close(self._in)
        os.close(self._out)
        os.kill(self._pid, signal.SIGKILL)  # not collected yet, so the pid is still its own
        process.collect(self._pid)

    def _feed(self, chunk: bytes, blob: Verified, account: _Account) -> None:
        view = memoryview(chunk)
        while view:
            try:
                view = view[os.write(self._in, view) :]
            except BlockingIOError:
                self._wait(self._in, select.POLLOUT, blob)
            if self._outcome is None and _is_readable(self._out):
                self._hear(account)

    def _hear(self, account: _Account) -> None:
        """Read what it has said, and account for it."""
        more = os.read(self._out, CHUNK)
        if not more:
            self._outcome = {"error": "worker", "message": "the process that unpacks the layer was killed"}
        *lines, self._said = (self._said + more).split(b"\n")
        for line in map(json.loads, lines):
            if "spent" in line:
                account.told(*line["spent"])
            if line.keys() != {"spent"}:
                self._outcome = line

    @staticmethod
    def _wait(fd: int, events: int, blob: Verified) -> None:
        poll = select.poll()
        poll.register(fd, events)
        while not poll.poll(_LOOK):
            blob.tell()  # raises when the pull was cancelled


def _is_readable(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


def _pipe() -> tuple[int, int]:
    """Both ends above the standard descriptors, which the child's ends replace."""
    ends = os.pipe()
    try:
        reader, writer = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 3) for end in ends)
    finally:
        for end in ends:
            os.close(end)
    return reader, writer


def _spawn(reader: int, writer: int) -> int:
    paths = [path for path in sys.path if os.path.isabs(path)]
    actions = [
        (os.POSIX_SPAWN_DUP2, reader, 0),
        (os.POSIX_SPAWN_DUP2, writer, 1),
        (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
    ]
    argv = [sys.executable, "-I", "-S", "-c", _BOOTSTRAP, *paths]
    # A group of its own: Ctrl-C is for this process to see.
    return os.posix_spawn(sys.executable, argv, os.environ, file_actions=actions, setpgroup=0)
