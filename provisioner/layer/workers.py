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
        try:
            outcome = worker.perform(_message(job, size, budget), blob)
        except BaseException:
            worker.end()
            raise
        if "error" in outcome:
            worker.end()
            raise _error(outcome)
        with self._lock:
            self._idle.append(worker)
        budget.spend(*outcome["spent"])
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
        os.set_blocking(self._in, False)
        with contextlib.suppress(PermissionError):  # the user's pipes are many: a small one does
            fcntl.fcntl(self._in, fcntl.F_SETPIPE_SZ, _PIPE)

    def perform(self, message: bytes, blob: Verified) -> dict[str, Any]:
        """Hand the job and its blob over; what became of it."""
        with contextlib.suppress(BrokenPipeError):  # it has failed, and says why
            self._feed(message, blob)
            while chunk := blob.read(CHUNK):
                self._feed(chunk, blob)
        return self._outcome(blob)

    def end(self) -> None:
        """End the process, whatever it does."""
        os.close(self._in)
        os.close(self._out)
        os.kill(self._pid, signal.SIGKILL)  # not collected yet, so the pid is still its own
        os.waitpid(self._pid, 0)

    def _feed(self, chunk: bytes, blob: Verified) -> None:
        view = memoryview(chunk)
        while view:
            try:
                view = view[os.write(self._in, view) :]
            except BlockingIOError:
                self._wait(self._in, select.POLLOUT, blob)

    def _outcome(self, blob: Verified) -> dict[str, Any]:
        content = b""
        while not content.endswith(b"\n"):
            self._wait(self._out, select.POLLIN, blob)
            more = os.read(self._out, CHUNK)
            if not more:
                return {"error": "worker", "message": "the process that unpacks the layer was killed"}
            content += more
        outcome: dict[str, Any] = json.loads(content)
        return outcome

    @staticmethod
    def _wait(fd: int, events: int, blob: Verified) -> None:
        poll = select.poll()
        poll.register(fd, events)
        while not poll.poll(_LOOK):
            blob.tell()  # raises when the pull was cancelled


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
