"""The stdio that a supervisor serves: it reads the task's output, logs it, keeps the last of it for
whoever attaches, and writes their input to the task.

The task is never held up by a full disk, nor by a client, with one exception, that clients ask for:
one that is paced, as the foreground command is, holds the task back when it is about to lose
output, as a terminal would. If it does not read for a second, it is skipped like any other.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from typing import Any

from launcher import attach_protocol as wire
from launcher.exit_status import ExitStatus
from launcher.io.inherited import InheritedIO
from launcher.io.log_file import LogFile
from launcher.io.loop import IN, Loop
from launcher.io.ring import Ring
from launcher.io.server import Server
from launcher.io.task_input import TaskInput
from launcher.kernel import terminal
from launcher.stdio import Inherit, Pipes, from_json

_PATIENCE = 1.0  # seconds that a paced client may hold the task back
_MOST_DRAINED = 4 * 1024 * 1024  # bytes; whoever else has the pipe open may write for ever
_NAMES = {wire.STDOUT: "stdout", wire.STDERR: "stderr"}


class ServedIO(InheritedIO):
    """Pipes or a terminal, a log, and an attach socket."""

    def __init__(self, stdio: Mapping[str, Any], service: Mapping[str, Any], loop: Loop) -> None:
        """Of Pipes or a Terminal, and a Service, as JSON. Raises OSError if the socket cannot be made."""
        asked = from_json(stdio)
        assert not isinstance(asked, Inherit)
        self._loop = loop
        self._ring = Ring()
        self._server = Server(service["socket"], loop, self._ring)
        self._log = LogFile(service["log"], asked.log)
        self._sources: dict[int, int] = {}  # our end → stream
        self._held_back = False
        self._drained = 0
        self._input: TaskInput | None = None
        self._master = -1
        self._slave = -1
        self.descriptors: list[int] = [self._server.fileno()]
        self.child_ends: list[int] = []
        if isinstance(asked, Pipes):
            self._make_pipes(asked)

    def _make_pipes(self, asked: Pipes) -> None:
        stdin = -1
        if asked.stdin:
            stdin, ours = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(ours, False)
            self._input = TaskInput(self._loop, ours, self._input_drained, is_terminal=False)
            self.descriptors.append(ours)
        self.child_ends += (stdin, self._new_source(wire.STDOUT), self._new_source(wire.STDERR))
        self.descriptors += self._sources

    def _new_source(self, stream: int) -> int:
        ours, theirs = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(ours, False)
        self._sources[ours] = stream
        return theirs

    def terminal_opened(self, master: int, slave: int) -> None:
        os.set_blocking(master, False)
        self._master = master
        self._slave = slave  # held, not used
        self._sources[master] = wire.STDOUT
        typed = os.dup(master)
        self._input = TaskInput(self._loop, typed, self._input_drained, is_terminal=True)

    def serve(self, signal: Callable[[int], None]) -> None:
        self._signal = signal
        self._server.serve(self, self._flags)
        self._watch_sources()

    def drain(self) -> None:
        if self._slave >= 0:
            os.close(self._slave)  # now the last one: the master ends after what is in it
            self._slave = -1
        self._drained = 0
        while self._sources and self._drained < _MOST_DRAINED:
            # Without waiting: an end that is not there yet is that of another who has the pipe open.
            if not self._loop.turn(_PATIENCE if self._held_back else 0):
                break

    def end(self, status: ExitStatus | None) -> None:
        for descriptor in list(self._sources):
            self._end_source(descriptor)
        self._log.close()
        self._server.end(status)
        if self._input:
            self._input.close()

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
        self._signal(number)

    def progressed(self) -> None:
        self._pace()

    # The task's output --------------------------------------------------------------------------

    def _flags(self) -> int:
        flags = wire.HAS_TERMINAL if self._master >= 0 else 0
        return flags | (wire.HAS_STDIN if self._input and self._input.is_open else 0)

    def _watch_sources(self) -> None:
        for descriptor in self._sources:
            self._watch_source(descriptor)

    def _watch_source(self, descriptor: int) -> None:
        self._loop.watch(descriptor, IN, lambda: self._read(descriptor))

    def _read(self, descriptor: int) -> None:
        try:
            data = os.read(descriptor, wire.CHUNK)
        except BlockingIOError:
            return
        except OSError:  # EIO: the terminal's other end is closed for good
            data = b""
        if not data:
            self._end_source(descriptor)
            return
        stream = self._sources[descriptor]
        self._drained += len(data)
        self._log.write(_NAMES[stream], data)
        self._ring.append(stream, data)
        self._server.advance()
        self._pace()

    def _end_source(self, descriptor: int) -> None:
        self._loop.forget(descriptor)
        del self._sources[descriptor]
        os.close(descriptor)

    def _pace(self) -> None:
        """Do not read while a client that is paced is about to lose output."""
        if self._server.holds_back and not self._held_back:
            self._held_back = True
            for descriptor in self._sources:
                self._loop.forget(descriptor)
            self._loop.set_alarm(_PATIENCE, self._stop_waiting)
        elif self._held_back and not self._server.holds_back:
            self._held_back = False
            self._loop.cancel_alarm()
            self._watch_sources()

    def _stop_waiting(self) -> None:
        self._server.stop_pacing()
        self._pace()

    def _stop_reading_clients(self) -> None:
        if not self.reads:
            self._server.update()

    def _input_drained(self) -> None:
        self._server.update()
