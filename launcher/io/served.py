"""The stdio of one task that is served: its output is read, logged, and the last of it kept for whoever
attaches; their input is written to the task.

The task is never held up by a full disk, nor by a client, with one exception, that clients ask for:
one that is paced, as the foreground command is, holds the task back when it is about to lose
output, as a terminal would. If it does not read for a second, it is skipped like any other.

The link is the channel to the task's supervisor. The child sends its terminal there; the supervisor the
task's pidfd, and in the end the record of the exit status, for which it is answered when all that the
task has written is logged. Only when the link has ended, so after the record is on disk, are those
who are attached told of it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Callable, Sequence
from functools import partial

from launcher import attach_protocol as wire
from launcher import exit_record
from launcher.exit_status import ExitStatus
from launcher.io.log_file import LogFile
from launcher.io.loop import IN, Watching
from launcher.io.ring import Ring
from launcher.io.server import Server
from launcher.io.task_input import TaskInput
from launcher.kernel import terminal
from launcher.program.messages import CLONED, PACKET, TERMINAL_OPENED
from launcher.stdio import Pipes, Service, Terminal

_PATIENCE = 1.0  # seconds that a paced client may hold the task back
_MOST_DRAINED = 4 * 1024 * 1024  # bytes; whoever else has the pipe open may write for ever
_NAMES = {wire.STDOUT: "stdout", wire.STDERR: "stderr"}
_ANCILLARY = socket.CMSG_SPACE(4)


class ServedIO:
    """Pipes or a terminal, a log, and an attach socket."""

    def __init__(
        self,
        asked: Pipes | Terminal,
        service: Service,
        loop: Watching,
        link: socket.socket,
        ends: Sequence[int],
        *,
        cloned: Callable[[int], None],
        ended: Callable[[], None],
    ) -> None:
        """`ends`: ours of the pipes, stdout first, stdin last if there is one. All becomes ours.

        `cloned` is called with the task's pidfd, `ended` in the end. Raises OSError if the socket
        cannot be made.
        """
        self._loop = loop
        self._link = link
        self._cloned = cloned
        self._ended = ended
        self._ring = Ring()
        self._server = Server(service.socket, loop, self._ring)
        self._log = LogFile(asked.log.path or service.log, asked.log)
        self._sources: dict[int, int] = {}  # our end → stream
        self._held_back = False
        self._drained = -1  # bytes; not yet draining
        self._status: ExitStatus | None = None
        self._input: TaskInput | None = None
        self._master = self._slave = -1
        self._pidfd = -1
        link.setblocking(False)
        loop.watch(link.fileno(), IN, self._hear)
        if isinstance(asked, Pipes):
            self._take_pipes(ends)

    def _take_pipes(self, ends: Sequence[int]) -> None:
        for descriptor in ends:
            os.set_blocking(descriptor, False)
        self._sources = dict(zip(ends, (wire.STDOUT, wire.STDERR), strict=False))
        for descriptor in ends[2:]:
            self._input = TaskInput(self._loop, descriptor, self._server.update, is_terminal=False)
        self._serve()

    def _take_terminal(self, master: int) -> None:
        os.set_blocking(master, False)
        self._master = master
        # Held, not used: whenever the task happened to have none open, the master would be hung up.
        self._slave = terminal.open_peer(master)
        self._sources = {master: wire.STDOUT}
        typed = os.dup(master)
        self._input = TaskInput(self._loop, typed, self._server.update, is_terminal=True)
        self._serve()

    def _serve(self) -> None:
        self._server.serve(self, self._flags)
        self._watch_sources()

    # The link -----------------------------------------------------------------------------------

    def _hear(self) -> None:
        try:
            packet, ancillary, _, _ = self._link.recvmsg(
                exit_record.RECORD.size, _ANCILLARY, socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            return
        except ConnectionError:
            packet, ancillary = b"", []
        descriptors = [fd for _, _, data in ancillary for fd in memoryview(data).cast("i")]
        if not packet:
            self._link_ended()
        elif len(packet) == exit_record.RECORD.size:
            self._status = exit_record.unpack(packet).status
            self._drain()
        else:
            self._take(PACKET.unpack(packet)[0], *descriptors)

    def _take(self, kind: int, *descriptors: int) -> None:
        if kind == CLONED:
            (self._pidfd,) = descriptors
            self._cloned(self._pidfd)
        elif kind == TERMINAL_OPENED:
            self._take_terminal(*descriptors)

    def _link_ended(self) -> None:
        """The supervisor has gone, by now, or before its time: then there is no status."""
        self._loop.forget(self._link.fileno())
        self._link.close()
        if self._drained < 0:
            self._drain()
        elif not self._sources:
            self._end()

    # The end ------------------------------------------------------------------------------------

    def _drain(self) -> None:
        """Nothing of the task lives any more: read what it has left, without waiting for more."""
        self._drained = 0
        for descriptor in self._sources:
            self._loop.forget(descriptor)
        if self._master >= 0:
            os.close(self._slave)  # now the last one: the master ends after what is in it
            self._slave = -1
        self._go_on_draining()

    def _go_on_draining(self) -> None:
        while self._sources and self._drained < _MOST_DRAINED:
            if self._server.holds_back:
                self._loop.set_alarm(self, _PATIENCE, self._stop_waiting)
                return
            for descriptor in list(self._sources):
                if not self._read(descriptor):  # an end that is not there yet is another's
                    self._end_source(descriptor)
        self._loop.cancel_alarm(self)
        for descriptor in list(self._sources):
            self._end_source(descriptor)
        self._log.close()
        self._answer()

    def _answer(self) -> None:
        if self._link.fileno() < 0:
            self._end()
            return
        with contextlib.suppress(OSError):  # it waits no longer
            self._link.send(b"\0", socket.MSG_NOSIGNAL)

    def _end(self) -> None:
        self._close_input()
        if self._pidfd >= 0:
            os.close(self._pidfd)
        self._server.end(self._status, self._ended)

    def _close_input(self) -> None:
        if self._input:
            self._input.close()

    def abandon(self, why: str) -> None:
        """Close everything at once, whatever state it is in; the log tells why."""
        steps: list[Callable[[], object]] = [
            lambda: self._log.note(why),
            self._log.close,
            self._server.abandon,
            self._close_input,
            self._link.close,
        ]
        descriptors = {*self._sources, self._master, self._slave, self._pidfd} - {-1}
        for descriptor in descriptors:
            steps.append(partial(os.close, descriptor))
        for step in steps:
            with contextlib.suppress(Exception):
                step()

    # What clients ask for: launcher.io.client.Task ----------------------------------------------

    @property
    def reads(self) -> bool:
        return self._input is None or not self._input.full

    def type(self, data: bytes) -> None:
        if self._input:
            self._input.write(data)
            self._stop_reading_clients()

    def end_input(self) -> None:
        if self._input:
            self._input.end()
            self._stop_reading_clients()

    def resize(self, rows: int, columns: int) -> None:
        if self._master in self._sources:
            with contextlib.suppress(OSError):  # the task has hung it up
                terminal.set_size(self._master, rows, columns)

    def signal(self, number: int) -> None:
        if self._pidfd >= 0:
            with contextlib.suppress(OSError, ValueError):  # it has ended; there is no such signal
                signal.pidfd_send_signal(self._pidfd, number)

    def reopen_log(self) -> None:
        self._log.reopen()

    def progressed(self) -> None:
        self._pace()
        self._server.close_if_read()

    # The task's output --------------------------------------------------------------------------

    def _flags(self) -> int:
        flags = wire.HAS_TERMINAL if self._master >= 0 else 0
        return flags | (wire.HAS_STDIN if self._input and self._input.is_open else 0)

    def _watch_sources(self) -> None:
        for descriptor in self._sources:
            self._watch_source(descriptor)

    def _watch_source(self, descriptor: int) -> None:
        self._loop.watch(descriptor, IN, lambda: self._pass_on(descriptor))

    def _pass_on(self, descriptor: int) -> None:
        try:
            if not self._read(descriptor):
                self._end_source(descriptor)
        except BlockingIOError:
            pass
        self._pace()

    def _read(self, descriptor: int) -> bool:
        """Pass a chunk on. False at the end. Raises BlockingIOError while there is none."""
        try:
            data = os.read(descriptor, wire.CHUNK)
        except BlockingIOError:
            if self._drained < 0:
                raise
            return False
        except OSError:  # EIO: the terminal's other end is closed for good
            return False
        if data:
            stream = self._sources[descriptor]
            self._drained += len(data) if self._drained >= 0 else 0
            self._log.write(_NAMES[stream], data)
            self._ring.append(stream, data)
            self._server.advance()
        return bool(data)

    def _end_source(self, descriptor: int) -> None:
        self._loop.forget(descriptor)
        del self._sources[descriptor]
        os.close(descriptor)

    def _pace(self) -> None:
        """Do not read while a client that is paced is about to lose output."""
        if self._drained >= 0:
            if self._sources:
                self._go_on_draining()
        elif self._server.holds_back and not self._held_back:
            self._held_back = True
            for descriptor in self._sources:
                self._loop.forget(descriptor)
            self._loop.set_alarm(self, _PATIENCE, self._stop_waiting)
        elif self._held_back and not self._server.holds_back:
            self._held_back = False
            self._loop.cancel_alarm(self)
            self._watch_sources()

    def _stop_waiting(self) -> None:
        self._server.stop_pacing()
        self._pace()

    def _stop_reading_clients(self) -> None:
        if not self.reads:
            self._server.update()
