"""A bridge: attach to a container of an agent's as if its supervisor were on this host.

    Session ◄── launcher.attach_protocol ──► bridge ◄── ATTACH_CONTAINER_OUTPUT ── agent
                                                    ◄── AWAIT_CONTAINER ──────────
                                                    ─── ATTACH_CONTAINER_INPUT ──►

One thread carries the output and then the exit status, another what is typed. Each holds one frame
at a time: who reads slowly slows the task down, as on the host. Nothing is attached for input until
something is typed, since an agent lets one client write at a time.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
from collections.abc import Iterator

from containerizer.api.ids import to_message
from containerizer.api.proto.agent_pb2 import Call
from containerizer.api.proto.containers_pb2 import TTYInfo
from containerizer.api.proto.process_io_pb2 import ProcessIO
from containerizer.client.client import AgentClient, Stream, exit_status
from launcher import attach_protocol as wire
from launcher.attach import Attachment
from launcher.container_id import ContainerId
from launcher.errors import ContainerizerError

_STREAMS = {ProcessIO.Data.STDOUT: wire.STDOUT, ProcessIO.Data.STDERR: wire.STDERR}
_PATIENCE = 5.0  # seconds for the threads to end


@contextlib.contextmanager
def attached(
    client: AgentClient,
    container: str,
    *,
    has_terminal: bool,
    has_stdin: bool,
    output: Stream[ProcessIO] | None = None,
) -> Iterator[Attachment]:
    """An attachment that is valid within this context; `output` as the client has it already.

    Raises AgentFailed, AgentUnreachable.
    """
    flags = (wire.HAS_TERMINAL if has_terminal else 0) | (wire.HAS_STDIN if has_stdin else 0)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with Attachment(ours) as attachment, theirs, output or client.output(container) as output:
        wire.send(theirs, wire.HELLO, wire.FLAGS.pack(flags))
        with _Bridge(client, container, theirs, output):
            yield attachment


class _Bridge:
    """Carries within its context."""

    def __init__(
        self, client: AgentClient, container: str, peer: socket.socket, output: Stream[ProcessIO]
    ) -> None:
        self._client = client
        self._container = container
        self._peer = peer
        self._output = output
        self._threads = [
            threading.Thread(target=work, daemon=True) for work in (self._carry_output, self._carry_input)
        ]

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_: object) -> None:
        self._hang_up()
        self._output.hang_up()
        for thread in self._threads:
            thread.join(_PATIENCE)

    def _hang_up(self) -> None:
        with contextlib.suppress(OSError):  # the other side has
            self._peer.shutdown(socket.SHUT_RDWR)

    def _carry_output(self) -> None:
        with contextlib.suppress(ContainerizerError, OSError):
            for record in self._output:
                self._tell_record(record)
            ended = self._client.wait(self._container)
            if ended is not None:
                status = exit_status(ended)
                numbers = (-1 if value is None else value for value in (status.code, status.signal))
                self._tell(wire.EXITED, wire.STATUS.pack(*numbers))
        self._hang_up()

    def _tell_record(self, record: ProcessIO) -> None:
        if record.type == ProcessIO.DATA:
            data = record.data.data
            for start in range(0, len(data), wire.CHUNK):
                self._tell(_STREAMS[record.data.type], data[start : start + wire.CHUNK])
        elif record.control.type == ProcessIO.Control.SKIPPED:
            self._tell(wire.SKIPPED, wire.COUNT.pack(record.control.skipped))

    def _tell(self, kind: int, body: bytes) -> None:
        """Waits while the other side does not read."""
        self._peer.sendmsg([bytes((kind,)), body], (), socket.MSG_NOSIGNAL)

    def _carry_input(self) -> None:
        with contextlib.suppress(OSError):
            records = self._records()
            for first in records:
                with contextlib.suppress(ContainerizerError):  # somebody else types, or the task has ended
                    self._client.upload(self._calls(itertools.chain((first,), records)))

    def _calls(self, records: Iterator[ProcessIO]) -> Iterator[Call]:
        to = Call.AttachContainerInput
        message = to_message(ContainerId.parse(self._container))
        inputs = itertools.chain(
            (to(type=to.CONTAINER_ID, container_id=message),),
            (to(type=to.PROCESS_IO, process_io=record) for record in records),
        )
        return (Call(type=Call.ATTACH_CONTAINER_INPUT, attach_container_input=each) for each in inputs)

    def _records(self) -> Iterator[ProcessIO]:
        """What is typed, and resizes; signals are sent on the way."""
        while frame := self._peer.recv(wire.CHUNK + 1):
            kind, body = frame[0], frame[1:]
            if kind == wire.SIGNAL:
                with contextlib.suppress(ContainerizerError):  # it has ended
                    self._client.kill(self._container, *wire.NUMBER.unpack(body))
            elif kind in (wire.STDIN, wire.STDIN_END):
                yield _data(body)
            elif kind == wire.RESIZE:
                yield _size(*wire.SIZE.unpack(body))


def _data(data: bytes) -> ProcessIO:
    return ProcessIO(type=ProcessIO.DATA, data=ProcessIO.Data(type=ProcessIO.Data.STDIN, data=data))


def _size(rows: int, columns: int) -> ProcessIO:
    info = TTYInfo(window_size=TTYInfo.WindowSize(rows=rows, columns=columns))
    control = ProcessIO.Control(type=ProcessIO.Control.TTY_INFO, tty_info=info)
    return ProcessIO(type=ProcessIO.CONTROL, control=control)
