"""WebSockets: a terminal in a container, or its own task's input and output.

/ui/exec?container=ID&command=sh    a further command, with a terminal; it ends with the connection
/ui/attach?container=ID             the task's own, the last 64 KiB first; read only where the caller may
                                    not type

browser → agent    binary: what is typed       text: {"resize": [rows, columns]}
agent → browser    binary: what is written     text: {"exit": code}, or {"error": sentence}, then the end
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shlex
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import WSMsgType, web

from containerizer.agent.engine import Engine
from containerizer.agent.serving import ENGINE, SETTINGS, authorize, permits
from containerizer.agent.streams import Stream
from containerizer.api.slow_clients import bounded
from containerizer.containerizer import Containerizer
from containerizer.nested import ExecRequest
from containerizer.record import NoSuchContainer
from launcher.attach import Attachment, Output
from launcher.container_id import ContainerId
from launcher.errors import ContainerizerError, InvalidRequest
from launcher.exit_status import ExitStatus
from launcher.stdio import Terminal

_LARGEST = 1 << 20  # bytes of a message: what somebody pastes


async def execute(request: web.Request) -> web.StreamResponse:
    container_id = _asked(request)
    authorize(request, "EXEC", container_id)
    authorize(request, "ATTACH_CONTAINER_INPUT", container_id)
    authorize(request, "ATTACH_CONTAINER_OUTPUT", container_id)
    try:
        argv = tuple(shlex.split(request.query.get("command", "")))
    except ValueError as error:
        raise InvalidRequest(f"the command cannot be split: {error}") from None
    if not argv:
        raise InvalidRequest("no command given", hint="add &command=sh")
    return await _serve(request, _execution(request.app[ENGINE], container_id, argv), writes=True)


async def attach(request: web.Request) -> web.StreamResponse:
    container_id = _asked(request)
    authorize(request, "ATTACH_CONTAINER_OUTPUT", container_id)
    writes = permits(request, "ATTACH_CONTAINER_INPUT", container_id)
    return await _serve(request, _attached(request.app[ENGINE], container_id), writes=writes)


def _asked(request: web.Request) -> ContainerId:
    return ContainerId.parse(request.query.get("container", ""))


@contextlib.asynccontextmanager
async def _execution(
    engine: Engine, container_id: ContainerId, argv: tuple[str, ...]
) -> AsyncIterator[Stream]:
    own = ContainerId.of_command(container_id)
    held: list[Attachment] = []

    def hold(owner: Containerizer) -> None:
        """Before the command can write, or end."""
        held.append(owner.attach(own))
        held[0].attach(paced=True)

    try:
        request = ExecRequest(command=argv, container_id=own, environment={"TERM": "xterm-256color"})
        await engine.execute(container_id, request, Terminal(), hold)
        stream = Stream(held.pop())
        try:
            yield stream
        finally:
            stream.close()
            with contextlib.suppress(NoSuchContainer):
                await engine.remove(own, force=True)
    finally:
        for attachment in held:
            attachment.close()


@contextlib.asynccontextmanager
async def _attached(engine: Engine, container_id: ContainerId) -> AsyncIterator[Stream]:
    async with await engine.attach(container_id) as stream:
        stream.ask(replay=True)
        yield stream


async def _serve(
    request: web.Request, opening: contextlib.AbstractAsyncContextManager[Stream], *, writes: bool
) -> web.StreamResponse:
    socket = web.WebSocketResponse(heartbeat=request.app[SETTINGS].heartbeat, max_msg_size=_LARGEST)
    await socket.prepare(request)
    patience = request.app[SETTINGS].request_timeout
    try:
        async with opening as stream:
            await _carry(request, socket, stream, writes=writes)
    except ConnectionError:
        return socket
    except (ContainerizerError, OSError) as error:  # a browser's script is told no status
        with contextlib.suppress(ConnectionError):
            async with bounded(request, patience):
                await socket.send_str(json.dumps({"error": str(error)}))
    with contextlib.suppress(ConnectionError):
        async with bounded(request, patience):
            await socket.close()
    return socket


async def _carry(
    request: web.Request, socket: web.WebSocketResponse, stream: Stream, *, writes: bool
) -> None:
    """Both ways, until the task ends or the browser is gone."""
    ways = (
        asyncio.create_task(_out(request, socket, stream)),
        asyncio.create_task(_in(socket, stream, writes)),
    )
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        results = await asyncio.gather(*ways, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result


async def _out(request: web.Request, socket: web.WebSocketResponse, stream: Stream) -> None:
    """Raises ConnectionError for a browser that is gone, or does not read."""
    async for event in stream.events():
        async with bounded(request, request.app[SETTINGS].request_timeout):
            if isinstance(event, Output):
                await socket.send_bytes(event.data)
            elif isinstance(event, ExitStatus):
                await socket.send_str(json.dumps({"exit": event.exit_code}))


async def _in(socket: web.WebSocketResponse, stream: Stream, writes: bool) -> None:
    async for message in socket:
        if message.type == WSMsgType.BINARY and writes:
            await stream.write(message.data)
        elif message.type == WSMsgType.TEXT and writes:
            await _control(stream, message.data)


async def _control(stream: Stream, text: str) -> None:
    value: Any = None
    with contextlib.suppress(ValueError, RecursionError):
        value = json.loads(text)
    size = value.get("resize") if isinstance(value, dict) else None
    if not (isinstance(size, list) and len(size) == 2 and all(type(each) is int for each in size)):
        raise InvalidRequest("a message that is not understood", hint='write {"resize": [rows, columns]}')
    await stream.resize(*size)
