"""A bridge: attach to a container of an agent's as if its supervisor were on this host.

    Session ◄── launcher.attach_protocol ──► bridge ◄── ATTACH_CONTAINER_OUTPUT ── agent
                                                    ◄── AWAIT_CONTAINER ──────────
                                                    ─── ATTACH_CONTAINER_INPUT ──►

One thread carries the output and then the exit status, another what is typed. Each holds one frame
at a time: who reads slowly slows the task down, as on the host. Nothing is attached for input until
something is typed, since an agent lets one client write at a time.

When the agent goes, the container does not: both come back to the next one (containerizer.client.returning).
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
from containerizer.client.returning import PAUSE, Seen, attach_again
from containerizer.client.transport import AgentFailed, AgentUnreachable
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
    """Carries within its context. Raises AgentUnreachable at its end if the agent has not come back."""

    def __init__(
        self, client: AgentClient, container: str, peer: socket.socket, output: Stream[ProcessIO]
    ) -> None:
        self._client = client
        self._container = container
        self._peer = peer
        self._output: Stream[ProcessIO] | None = output
        self._seen = Seen()
        self._there = threading.Event()  # an agent
        self._there.set()
        self._leaving = threading.Event()
        self._given_up = False
        self._threads = [
            threading.Thread(target=work, daemon=True) for work in (self._carry_output, self._carry_input)
        ]

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(self, kind: object, *_: object) -> None:
        self._leaving.set()
        self._there.set()
        self._hang_up()
        if self._output is not None:
            self._output.hang_up()
        for thread in self._threads:
            thread.join(_PATIENCE)
        if self._given_up and kind is None:
            hint = f"container {self._container} runs on: `attach` to it when there is an agent"
            raise AgentUnreachable("the agent has gone, and has not come back", hint=hint)

    def _hang_up(self) -> None:
        with contextlib.suppress(OSError):  # the other side has
            self._peer.shutdown(socket.SHUT_RDWR)

    def _carry_output(self) -> None:
        with contextlib.suppress(ContainerizerError, OSError):
            while not self._carried() and not self._leaving.is_set():
                self._come_back()
        self._there.set()
        self._hang_up()

    def _carried(self) -> bool:
        """To the end; or else the agent has gone meanwhile."""
        try:
            if self._output is not None:
                with self._output as records:
                    for record in records:
                        self._tell_record(record)
            ended = self._client.wait(self._container)
        except AgentUnreachable:
            return False
        if ended is not None:
            status = exit_status(ended)
            numbers = (-1 if value is None else value for value in (status.code, status.signal))
            self._tell(wire.EXITED, wire.STATUS.pack(*numbers))
        return True

    def _come_back(self) -> None:
        """Raises AgentUnreachable if there is no agent for too long."""
        self._there.clear()
        self._output = None
        try:
            self._output = attach_again(self._client, self._container, self._leaving)
        except AgentUnreachable:
            self._given_up = True
            raise
        except AgentFailed:  # it has ended: all that is left is to wait for how
            pass
        self._seen.come_back()
        self._there.set()

    def _tell_record(self, record: ProcessIO) -> None:
        if record.type == ProcessIO.DATA:
            data = self._seen.fresh(record.data.type, record.data.data)
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
                self._type(first, records)

    def _type(self, first: ProcessIO, further: Iterator[ProcessIO]) -> None:
        """Until the agent takes no more: somebody else types, or the task has ended."""
        last = first

        def note(record: ProcessIO) -> ProcessIO:
            nonlocal last
            last = record
            if not self._there.is_set():  # or it goes to an agent that is gone
                raise AgentUnreachable("the agent is away")
            return record

        while not self._leaving.is_set():
            try:
                self._client.upload(self._calls(itertools.chain((last,), map(note, further))))
                return
            except AgentUnreachable:  # it has not got the last one, at least
                self._leaving.wait(PAUSE)  # for the other thread to see it too
                self._there.wait()
            except ContainerizerError:
                return

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
