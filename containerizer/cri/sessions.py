"""Sessions: the open ends of a stream, for whoever carries it over the wire.

    session = await open_exec(cri, asked)        or open_attach
    try:
        async for stream, data in session.output():     1: stdout, 2: stderr
            …
        code = session.exit_code
    finally:
        await session.close()

Meanwhile `write`, `end_input` and `resize` may be called by others of the same event loop.
`connected` gives a socket into a pod's network.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Protocol

from containerizer import record as records
from containerizer.agent.engine import Engine
from containerizer.agent.streams import Stream
from containerizer.checks import network
from containerizer.containerizer import Containerizer
from containerizer.cri.errors import NotNow
from containerizer.cri.proto.containers_pb2 import CONTAINER_RUNNING
from containerizer.cri.proto.pods_pb2 import SANDBOX_READY
from containerizer.cri.store import Store, id_of
from containerizer.cri.streams import AttachStream, ExecStream
from containerizer.nested import ExecRequest
from containerizer.record import NoSuchContainer
from launcher.attach import Attachment, Output
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest
from launcher.exit_status import ExitStatus
from launcher.stdio import Pipes, Terminal

_LOOPBACK = (("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6))


class Cri(Protocol):
    """What sessions need of the service."""

    engine: Engine
    store: Store


class Session:
    """One task's input and output. Belongs to one event loop."""

    def __init__(
        self, engine: Engine, stream: Stream, *, command: ContainerId | None, stdin_once: bool = False
    ) -> None:
        """`command`: the session's own, which ends with it. `stdin_once`: the task's input does."""
        self.exit_code: int | None = None  # known at the end of the output
        self._engine = engine
        self._stream = stream
        self._command = command
        self._stdin_once = stdin_once

    async def output(self) -> AsyncIterator[tuple[int, bytes]]:
        """What the task writes, until it ends: the stream, 1 or 2 (a terminal has only 1), and the bytes."""
        async for event in self._stream.events():
            if isinstance(event, Output):
                yield event.stream, event.data
            elif isinstance(event, ExitStatus):
                self.exit_code = event.exit_code

    async def write(self, data: bytes) -> None:
        """Type for the task. Waits while it does not read; returns also if it has ended."""
        await self._stream.write(data)

    async def end_input(self) -> None:
        """Its input is at an end; in a terminal, type the character for that."""
        await self._stream.end_input()

    async def resize(self, rows: int, columns: int) -> None:
        """Of its terminal, if it has one. Raises InvalidRequest for no such size."""
        await self._stream.resize(rows, columns)

    async def close(self) -> None:
        """A command that still runs is killed, as nobody listens any more. Idempotent."""
        if self._stdin_once and self.exit_code is None:
            await self._stream.end_input()
        self._stream.close()
        if self._command is not None:
            command, self._command = self._command, None
            with contextlib.suppress(NoSuchContainer):
                await self._engine.remove(command, force=True)


async def open_exec(cri: Cri, asked: ExecStream) -> Session:
    """Run the command. Raises NoSuchContainer, NotNow, LaunchFailed (CommandNotFound …)."""
    container_id = running(cri.store, asked.container_id)
    own = ContainerId.of_command(container_id)
    held: list[Attachment] = []

    def attach(owner: Containerizer) -> None:
        """Before the command can write, or end."""
        held.append(owner.attach(own))
        held[0].attach(paced=True)

    stdio = Terminal() if asked.tty else Pipes(stdin=asked.stdin)
    try:
        request = ExecRequest(command=asked.argv, container_id=own)
        await cri.engine.execute(container_id, request, stdio, attach)
    except BaseException:
        for attachment in held:
            attachment.close()
        raise
    return Session(cri.engine, Stream(held[0]), command=own)


async def open_attach(cri: Cri, asked: AttachStream) -> Session:
    """Nothing of before comes. Raises NoSuchContainer, NotNow, InvalidRequest, NotServed."""
    container_id = running(cri.store, asked.container_id)
    config = cri.store.container(asked.container_id).config
    if asked.tty and not config.tty:
        raise InvalidRequest(f"container {asked.container_id} has no terminal")
    stream = await cri.engine.attach(container_id)
    stream.ask(replay=False)
    once = asked.stdin and config.stdin_once
    return Session(cri.engine, stream, command=None, stdin_once=once)


async def connected(cri: Cri, pod_id: str, port: int) -> socket.socket:
    """A TCP connection to the port on the pod's loopback; the host's for a pod that has its network.

    It does not block. Raises NoSuchPod, NotNow, InvalidRequest, and OSError where nobody listens.
    """
    pod = cri.store.pod(pod_id)
    if pod.state != SANDBOX_READY:
        raise NotNow(f"pod sandbox {pod.id} is not ready")
    if not 0 < port < 1 << 16:
        raise InvalidRequest(f"{port} is no port")
    record = records.load(cri.engine.paths, id_of(pod))
    loop = asyncio.get_running_loop()
    failures: list[OSError] = []
    for host, family in _LOOPBACK:
        connection = await loop.run_in_executor(None, network.socket_in, record, family)
        connection.setblocking(False)
        try:
            await loop.sock_connect(connection, (host, port))
        except OSError as error:
            connection.close()
            failures.append(error)
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    raise failures[0]


def running(store: Store, container_id: str) -> ContainerId:
    """What the agent calls it. Raises NoSuchContainer, NotNow."""
    container = store.container(container_id)
    if container.state != CONTAINER_RUNNING:
        raise NotNow(f"container {container.id} is not running")
    return id_of(container)


def check(asked: ExecStream | AttachStream) -> None:
    """As the API has it. Raises InvalidRequest."""
    if not (asked.stdin or asked.stdout or asked.stderr):
        raise InvalidRequest("one of stdin, stdout and stderr must be asked for")
    if asked.tty and asked.stderr:
        raise InvalidRequest("with a terminal there is no stderr")
