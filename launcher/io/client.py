"""One client of the attach socket: it reads the ring at its own pace, and may type and signal."""

from __future__ import annotations

import socket
import struct
from typing import Protocol

from launcher import attach_protocol as wire
from launcher.exit_status import ExitStatus
from launcher.io.loop import IN, OUT, Watching
from launcher.io.ring import Ring


class Task(Protocol):
    """What clients may do to the task."""

    @property
    def reads(self) -> bool:
        """Whether there is room for a frame of input now."""

    def type(self, data: bytes) -> None: ...
    def end_input(self) -> None: ...
    def resize(self, rows: int, columns: int) -> None: ...
    def signal(self, number: int) -> None: ...
    def reopen_log(self) -> None:
        """Raises OSError."""

    def progressed(self) -> None:
        """A client has read something, or gone."""


class Client:
    """A connection. `gone` once it has ended, or has sent what is no frame.

    One that is closed with our frames unread resets the connection, which is told once, before what
    was typed until then: that is still to be read (unix(7); unix_release_sock in net/unix/af_unix.c).
    """

    def __init__(self, connection: socket.socket, loop: Watching, ring: Ring, task: Task) -> None:
        connection.setblocking(False)
        self.gone = False
        self._connection = connection
        self._loop = loop
        self._ring = ring
        self._task = task
        self._offset: int | None = None  # in the task's output; None: none is wanted
        self._paced = False
        self._given_up = False
        self._blocked = False  # until the client has read something
        self._hung_up = False  # nothing can be sent any more

    @property
    def lag(self) -> int:
        """Bytes of output that are still to be sent."""
        return 0 if self._offset is None or self._hung_up or self.gone else self._ring.end - self._offset

    @property
    def holds_back(self) -> bool:
        """Whether the task should wait for this client rather than overrun it."""
        return self._paced and not self._given_up and self.lag > self._ring.size // 2

    def stop_pacing(self) -> None:
        """It has been waited for long enough: until it has caught up, nobody waits for it."""
        self._given_up = True

    def hello(self, flags: int) -> None:
        self._send(wire.HELLO, wire.FLAGS.pack(flags))
        self.update()

    def advance(self) -> None:
        """Send what there is of the output, as far as the client has room for it."""
        while self.lag and not self._blocked:
            assert self._offset is not None
            if self._offset < self._ring.start:
                self._send(wire.SKIPPED, wire.COUNT.pack(self._ring.start - self._offset))
                self._offset = self._offset if self._blocked else self._ring.start
                continue
            stream, data = self._ring.read(self._offset, wire.CHUNK)
            self._send(stream, data)
            self._offset += 0 if self._blocked else len(data)
        self._given_up = self._given_up and self.lag > 0
        self.update()

    def end(self, status: ExitStatus | None) -> None:
        """Tell the exit status, where there is room for it, and disconnect."""
        if status and not self.gone:
            code, signal = ((-1 if value is None else value) for value in (status.code, status.signal))
            self._send(wire.EXITED, wire.STATUS.pack(code, signal))
        self._drop()

    def update(self) -> None:
        """Wait for what can be handled now."""
        if not self.gone:
            events = (OUT if self._blocked else 0) | (IN if self._task.reads else 0)
            self._loop.watch(self._connection.fileno(), events, self._ready)

    def _ready(self) -> None:
        self._blocked = False
        self.advance()
        if self._task.reads and not self.gone:
            self._receive()
            self.update()
        self._task.progressed()

    def _receive(self) -> None:
        try:
            frame = self._next_frame()
        except BlockingIOError:
            return
        if not 0 < len(frame) <= wire.CHUNK + 1:
            self._drop()
            return
        try:
            self._handle(frame[0], frame[1:])
        except struct.error:
            self._drop()

    def _next_frame(self) -> bytes:
        try:
            return self._connection.recv(wire.CHUNK + 2)
        except ConnectionResetError:
            return self._connection.recv(wire.CHUNK + 2)

    def _handle(self, kind: int, body: bytes) -> None:
        if kind == wire.ATTACH:
            self._attach(*wire.FLAGS.unpack(body))
        elif kind == wire.STDIN:
            self._task.type(body)
        elif kind == wire.STDIN_END:
            self._task.end_input()
        elif kind == wire.RESIZE:
            self._task.resize(*wire.SIZE.unpack(body))
        elif kind == wire.SIGNAL:
            self._task.signal(*wire.NUMBER.unpack(body))
        elif kind == wire.REOPEN_LOG:
            self._reopen_log()
        else:
            self._drop()

    def _attach(self, flags: int) -> None:
        self._offset = self._ring.start if flags & wire.REPLAY else self._ring.end
        self._paced = bool(flags & wire.PACED)
        self.advance()

    def _reopen_log(self) -> None:
        reason = ""
        try:
            self._task.reopen_log()
        except OSError as error:
            reason = error.strerror or str(error)
        self._send(wire.LOG_REOPENED, reason.encode())

    def _send(self, kind: int, body: bytes) -> None:
        try:
            wire.send(self._connection, kind, body)
        except BlockingIOError:
            self._blocked = True
        except OSError:  # it has gone; what it has typed before is still to be read
            self._hung_up = True

    def _drop(self) -> None:
        if not self.gone:
            self.gone = True
            self._loop.forget(self._connection.fileno())
            self._connection.close()
