"""What a killed relay leaves to the next one: its tasks go on.

Pipes and terminals outlive the relay, for each task's supervisor has them too (launcher/supervisor.py),
though not the writing end of a task's stdin: what was being typed ends. For each of its tasks a relay
keeps a note on disk. The next relay of the same number takes what the notes name out of the
supervisors, and a stand-in plays the supervisor's part on a new link, since the old one ended with the
relay: it tells of the task, and in the end of the exit status, which the supervisor records without
waiting for anybody. What clients could have replayed is gone; the log goes on.

    <relays>/<number>/<pid of the supervisor>.json    a note, while the task is served
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator, Sequence
from typing import Any

from launcher import exit_record
from launcher.data import Data, asdict
from launcher.io.loop import IN, Watching, is_ready
from launcher.kernel import clone, process
from launcher.program.assembler import ALIVE, KEPT
from launcher.program.messages import CLONED, PACKET, TERMINAL_OPENED

_PAUSE = 0.02  # seconds from the end of a task to its record, at most a few times
_ANCILLARY = socket.CMSG_SPACE(4) + socket.CMSG_SPACE(12)  # of a descriptor, and of credentials


class Note(Data):
    """A task that is served. Processes by their pids, and when they started: launcher.kernel.process."""

    stdio: dict[str, Any]  # as in launcher.protocol.Serve
    service: dict[str, Any]
    exit_status_path: str
    supervisor: int
    supervisor_started: int
    task: int
    task_started: int


class Notes:
    """Those of one relay."""

    def __init__(self, directory: str) -> None:
        """Raises OSError if it cannot be made."""
        self._directory = directory
        os.makedirs(directory, mode=0o700, exist_ok=True)

    def write(self, note: Note) -> None:
        """Raises OSError."""
        path = self._path(note)
        file = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(file, json.dumps(asdict(note)).encode())  # of a page at most, and torn it is no note
        finally:
            os.close(file)
        os.rename(f"{path}.new", path)

    def remove(self, note: Note) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path(note))

    def all(self) -> Iterator[Note]:
        """What another relay has left; what makes no sense is removed."""
        for name in os.listdir(self._directory):
            path = os.path.join(self._directory, name)
            try:
                with open(path) as file:
                    yield Note(**json.load(file))
            except (ValueError, TypeError):  # half written
                os.unlink(path)

    def clear(self) -> None:
        """Nobody is served, and nobody needs the directory."""
        with contextlib.suppress(OSError):
            os.rmdir(self._directory)

    def _path(self, note: Note) -> str:
        return os.path.join(self._directory, f"{note.supervisor}.json")


def note_of(stdio: dict[str, Any], service: dict[str, Any], record: str, pidfd: int) -> Note | None:
    """The note of a task that was just cloned; None if it has ended already."""
    task = clone.pid_of(pidfd)
    fields = process.stat(task)
    if fields is None:
        return None
    supervisor, task_started = int(fields[1]), int(fields[19])  # ppid, starttime
    supervisor_started = process.started_at(supervisor)
    if supervisor_started is None or is_ready(pidfd):
        return None
    return Note(stdio, service, record, supervisor, supervisor_started, task, task_started)


class StandIn:
    """Plays the part of a supervisor whose link has ended."""

    def __init__(self, note: Note, loop: Watching) -> None:
        """Raises OSError; ProcessLookupError if the supervisor has ended."""
        self._record = note.exit_status_path
        self._loop = loop
        self._supervisor = _open(note.supervisor, note.supervisor_started)
        try:
            self._task = _open(note.task, note.task_started)
        except ProcessLookupError:
            self._task = -1
        self._link, self.link = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def take_pipes(self) -> Sequence[int]:
        """The reading ends of stdout and stderr."""
        output = _descriptor_of(self._supervisor, KEPT)
        try:
            return output, _descriptor_of(self._supervisor, KEPT + 1)
        except BaseException:
            os.close(output)
            raise

    def tell(self, *, terminal: bool) -> None:
        """Say what the supervisor and its child have said. Raises OSError."""
        if terminal:
            master = self.take_terminal()
            try:
                self._send(TERMINAL_OPENED, master)
            finally:
                os.close(master)
        self._loop.watch(self._supervisor, IN, self._look)
        if self._task < 0:
            self._look()
            return
        self._send(CLONED, self._task)
        self._loop.watch(self._task, IN, self._look)

    def close(self) -> None:
        self._loop.cancel_alarm(self)
        for descriptor in {self._supervisor, self._task} - {-1}:
            self._loop.forget(descriptor)
            os.close(descriptor)
        self._supervisor = self._task = -1
        self._link.close()

    def take_terminal(self) -> int:
        """The master. It lies in the channel to the child, where it stays: this is a duplicate."""
        flags = socket.MSG_PEEK | socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC
        with socket.socket(fileno=_descriptor_of(self._supervisor, ALIVE)) as channel:
            _, ancillary, _, _ = channel.recvmsg(PACKET.size, _ANCILLARY, flags)
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                return int(memoryview(data).cast("i")[0])
        raise OSError("the supervisor has no terminal")

    def _send(self, kind: int, descriptor: int) -> None:
        socket.send_fds(self._link, [PACKET.pack(kind, 0)], [descriptor])

    def _look(self) -> None:
        """The task has ended; its record comes soon, or never."""
        if self._task >= 0:
            self._loop.forget(self._task)
        ended = is_ready(self._supervisor)
        with contextlib.suppress(OSError, ValueError):
            record = exit_record.read_packed(self._record)
            exit_record.unpack(record)
            ended = True
            self._link.send(record, socket.MSG_NOSIGNAL)
        if ended:
            self.close()
        else:
            self._loop.set_alarm(self, _PAUSE, self._look)


def _open(pid: int, started: int) -> int:
    """A pidfd of this very process. Raises ProcessLookupError when it has ended."""
    pidfd = os.pidfd_open(pid)
    if process.started_at(pid) == started and not is_ready(pidfd):
        return pidfd
    os.close(pidfd)
    raise ProcessLookupError(f"process {pid} has ended")


def _descriptor_of(pidfd: int, number: int) -> int:
    from launcher.kernel.pidfd import descriptor_of  # ctypes, which few relays need: a megabyte

    return descriptor_of(pidfd, number)
