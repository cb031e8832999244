"""Connections into a pod's network, over SPDY or WebSocket: one error channel beside each one of data.

Over SPDY a client opens two streams for each connection, of one `requestID`; an old one, without, opens
error first and data next. Over WebSocket each port has two channels, and both begin with the port's number.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import Awaitable, Callable

from containerizer.cri.sessions import Cri, connected
from containerizer.cri.streaming.frames import SpdyError
from containerizer.cri.streaming.spdy import Connection, Stream
from containerizer.cri.streaming.websockets import Channels
from containerizer.cri.streams import PortForwardStream
from launcher.errors import ContainerizerError

PROTOCOLS = ("portforward.k8s.io",)

_CHUNK = 32 << 10  # bytes


async def over_spdy(cri: Cri, asked: PortForwardStream, connection: Connection) -> None:
    """Until the client is gone. Raises SpdyError, ConnectionError."""
    pairs: dict[str, dict[str, Stream]] = {}
    forwarding: set[asyncio.Task[None]] = set()

    def accept(stream: Stream) -> None:
        _port_of(stream, asked)
        kind, request = stream.headers.get("streamtype"), _request_of(stream)
        pair = pairs.setdefault(request, {})
        if kind not in ("data", "error") or kind in pair:
            raise SpdyError(f"a stream of type {kind!r} that is not expected")
        pair[kind] = stream
        if len(pair) == 2:
            del pairs[request]
            task = asyncio.create_task(_forward_pair(cri, asked, connection, pair["data"], pair["error"]))
            forwarding.add(task)
            task.add_done_callback(forwarding.discard)

    try:
        await connection.serve(accept)
    finally:
        for task in forwarding:
            task.cancel()
        await asyncio.gather(*forwarding, return_exceptions=True)


def _port_of(stream: Stream, asked: PortForwardStream) -> int:
    text = stream.headers.get("port", "")
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 1 << 16):
        raise SpdyError(f"{text!r} is no port")
    if asked.ports and int(text) not in asked.ports:
        raise SpdyError(f"port {text} was not asked for")
    return int(text)


def _request_of(stream: Stream) -> str:
    named = stream.headers.get("requestid")
    if named:
        return named
    return str(stream.number - 2 if stream.headers.get("streamtype") == "data" else stream.number)


async def _forward_pair(
    cri: Cri, asked: PortForwardStream, connection: Connection, data: Stream, error: Stream
) -> None:
    try:
        await _forward(cri, asked, _port_of(data, asked), data.read, data.write, error.write)
    finally:
        with contextlib.suppress(ConnectionError, TimeoutError):
            await data.finish()
            await error.finish()
        for stream in (data, error):
            connection.forget(stream)


async def over_websocket(
    cri: Cri, asked: PortForwardStream, channels: Channels, ports: tuple[int, ...]
) -> None:
    """Until the client is gone. Raises ConnectionError."""
    incoming: list[asyncio.Queue[bytes]] = [asyncio.Queue(_CHUNK // 1024) for _ in ports]
    for number, port in enumerate(ports):
        for channel in (2 * number, 2 * number + 1):
            await channels.write(channel, struct.pack("<H", port))
    forwarding = [
        asyncio.create_task(_forward_channel(cri, asked, channels, number, port, incoming[number]))
        for number, port in enumerate(ports)
    ]
    try:
        async for channel, content in channels.messages():
            number, is_error = divmod(channel, 2)
            if number < len(ports) and not is_error and content and not forwarding[number].done():
                await incoming[number].put(content)
    finally:
        for task in forwarding:
            task.cancel()
        await asyncio.gather(*forwarding, return_exceptions=True)


async def _forward_channel(
    cri: Cri,
    asked: PortForwardStream,
    channels: Channels,
    number: int,
    port: int,
    incoming: asyncio.Queue[bytes],
) -> None:
    async def write(content: bytes) -> None:
        await channels.write(2 * number, content)

    async def fail(content: bytes) -> None:
        await channels.write(2 * number + 1, content)

    try:
        await _forward(cri, asked, port, incoming.get, write, fail)
    finally:
        while not incoming.empty():  # who waits to put more in it waits for nobody
            incoming.get_nowait()


async def _forward(
    cri: Cri,
    asked: PortForwardStream,
    port: int,
    read: Callable[[], Awaitable[bytes]],
    write: Callable[[bytes], Awaitable[None]],
    fail: Callable[[bytes], Awaitable[None]],
) -> None:
    """One connection, both ways, until the pod's end closes it."""
    try:
        reader, writer = await asyncio.open_connection(sock=await connected(cri, asked.pod_id, port))
    except (ContainerizerError, OSError) as error:
        await fail(f"cannot forward port {port} to pod {asked.pod_id}: {error}".encode())
        return
    sending = asyncio.create_task(_send(read, writer))
    try:
        while data := await reader.read(_CHUNK):
            await write(data)
    except ConnectionResetError as error:
        await fail(f"port {port} of pod {asked.pod_id}: {error}".encode())
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        writer.close()


async def _send(read: Callable[[], Awaitable[bytes]], writer: asyncio.StreamWriter) -> None:
    while data := await read():
        writer.write(data)
        await writer.drain()
    writer.write_eof()
