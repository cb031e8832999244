"""Attach to a task whose stdio is served, from whatever process: see launcher.attach_protocol.

    with Attachment.connect(path) as attachment:
        attachment.attach()
        for event in attachment.events():
            …

What sends returns at once: where the task does not read, BlockingIOError says that nothing was sent,
and polling for POLLOUT when to try again.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

from launcher import attach_protocol as wire
from launcher.data import Data
from launcher.errors import ContainerizerError
from launcher.exit_status import ExitStatus


class NotServed(ContainerizerError):
    """Nobody listens at the attach socket: the task has ended, or has its stdio of its launcher."""


class Hello(Data):
    """We are served. Once, and before all else."""

    has_terminal: bool
    has_stdin: bool  # that can still be written to


class Output(Data):
    """What the task wrote. A terminal has one stream only, STDOUT."""

    stream: int  # wire.STDOUT or wire.STDERR
    data: bytes


class Skipped(Data):
    """We were too slow, and so many bytes of output are missing here."""

    count: int


class LogReopened(Data):
    """The log is a new file."""

    failure: str  # why it is not; "": it is


Event = Hello | Output | Skipped | LogReopened | ExitStatus


class Attachment:
    """A connection to a relay. To close it is to detach."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    @classmethod
    def connect(cls, path: str) -> Attachment:
        """May come before the task runs; then nothing is received until it does. Raises NotServed."""
        connection = wire.new_socket()
        try:
            wire.at_path(path, connection.connect)
        except OSError as error:
            connection.close()
            raise NotServed(f"nobody serves the task at {path}", hint="it has ended") from error
        return cls(connection)

    def __enter__(self) -> Attachment:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def fileno(self) -> int:
        """Polls readable when `receive` will not block."""
        return self._connection.fileno()

    def attach(self, *, replay: bool = True, paced: bool = False) -> None:
        """Ask for the output: the last 64 KiB of it first, or only what comes from now on.

        `paced`: the task waits for us, up to a second, before we lose output.
        """
        flags = (wire.REPLAY if replay else 0) | (wire.PACED if paced else 0)
        self._send(wire.ATTACH, wire.FLAGS.pack(flags))

    def write(self, data: bytes) -> None:
        """Type for the task: at most wire.CHUNK bytes."""
        self._send(wire.STDIN, data)

    def end_input(self) -> None:
        """Close the task's stdin; in a terminal, type the character for that."""
        self._send(wire.STDIN_END)

    def resize(self, rows: int, columns: int) -> None:
        """Resize the terminal, if there is one."""
        self._send(wire.RESIZE, wire.SIZE.pack(rows, columns))

    def signal(self, number: int) -> None:
        """Send a signal to the task; SIGKILL ends the container."""
        self._send(wire.SIGNAL, wire.NUMBER.pack(number))

    def reopen_log(self) -> None:
        """Have the log's file, which may have been renamed, made anew; LogReopened tells when."""
        self._send(wire.REOPEN_LOG)

    def receive(self) -> Event | None:
        """Wait for what comes next. None: the end, after an exit status or supervisor or relay died."""
        try:
            frame = self._connection.recv(wire.CHUNK + 1)
        except ConnectionResetError:  # it did not read all that we sent
            return None
        return _event(frame[0], frame[1:]) if frame else None

    def events(self) -> Iterator[Event]:
        """All that comes; the last is the exit status, if it is known."""
        while event := self.receive():
            yield event

    def _send(self, kind: int, body: bytes = b"") -> None:
        with contextlib.suppress(ConnectionError):  # it has ended: `receive` tells
            wire.send(self._connection, kind, body)


def _event(kind: int, body: bytes) -> Event:
    if kind == wire.EXITED:
        code, signal = (value if value >= 0 else None for value in wire.STATUS.unpack(body))
        return ExitStatus(code, signal)
    if kind == wire.SKIPPED:
        return Skipped(*wire.COUNT.unpack(body))
    if kind == wire.LOG_REOPENED:
        return LogReopened(body.decode(errors="replace"))
    if kind == wire.HELLO:
        (flags,) = wire.FLAGS.unpack(body)
        return Hello(bool(flags & wire.HAS_TERMINAL), bool(flags & wire.HAS_STDIN))
    return Output(kind, body)
