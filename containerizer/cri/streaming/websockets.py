"""A connection that speaks WebSocket, the serving end: messages on numbered channels.

The number of the channel is the first byte of a message; with the base64 protocols its first character, and
the rest is in base64. With v5 a message on channel 255 has the number of a channel that is at its end.
Messages without channels carry SPDY for those who forward ports (tunnel.py).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
from collections.abc import AsyncIterator

from wsproto.connection import Connection as WsConnection
from wsproto.connection import ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Message, Ping, TextMessage
from wsproto.utilities import RemoteProtocolError

from containerizer.cri.sessions import Session
from containerizer.cri.streaming.remote_command import resize
from containerizer.cri.streams import AttachStream, ExecStream

STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255

# The best first. Without any it is the first version, in bytes.
PROTOCOLS = tuple(f"{version}channel.k8s.io" for version in ("v5.", "v4.", "v4.base64.", "", "base64."))
PORT_PROTOCOLS = ("v4.channel.k8s.io", "v4.base64.channel.k8s.io")

_CHUNK = 32 << 10  # bytes read at once
_LARGEST = 1 << 20  # bytes of a message


class Messages:
    """Made after the handshake; `first` has come with the request."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: bytes, patience: float
    ) -> None:
        self._reader, self._writer, self._first, self._patience = reader, writer, first, patience
        self._connection = WsConnection(ConnectionType.SERVER)
        self._sending = asyncio.Lock()

    async def whole(self) -> AsyncIterator[bytes]:
        """Each, until the client is gone. Raises ConnectionError."""
        data, pieces, size = self._first, [], 0
        while True:
            for event in self._received(data):
                if isinstance(event, Ping):
                    await self._send(self._connection.send(event.response()))
                elif isinstance(event, CloseConnection):
                    with contextlib.suppress(ConnectionError, TimeoutError):
                        await self._send(self._connection.send(event.response()))
                    return
                elif isinstance(event, Message):
                    piece = event.data.encode() if isinstance(event.data, str) else bytes(event.data)
                    pieces.append(piece)
                    size += len(piece)
                    if size > _LARGEST:
                        raise ConnectionError(f"a message of more than {_LARGEST} bytes")
                    if event.message_finished:
                        yield b"".join(pieces)
                        pieces, size = [], 0
            data = await self._reader.read(_CHUNK)
            if not data:
                return

    async def send(self, event: Event) -> None:
        """Raises ConnectionError, TimeoutError for a client that does not read."""
        async with self._sending:
            await self._send(self._connection.send(event))

    async def close(self) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError):
            await self.send(CloseConnection(code=1000))

    def _received(self, data: bytes) -> list[Event]:
        try:
            self._connection.receive_data(data)
            return list(self._connection.events())
        except RemoteProtocolError as error:
            raise ConnectionError(f"the client does not speak WebSocket: {error}") from error

    async def _send(self, data: bytes) -> None:
        self._writer.write(data)
        async with asyncio.timeout(self._patience):
            await self._writer.drain()


class Channels:
    """Messages of one of the protocols with channels."""

    def __init__(self, messages: Messages, protocol: str) -> None:
        self.protocol = protocol
        self._messages = messages
        self._base64 = "base64" in protocol

    async def messages(self) -> AsyncIterator[tuple[int, bytes]]:
        """(channel, content), until the client is gone. Raises ConnectionError."""
        async for whole in self._messages.whole():
            message = self._parsed(whole)
            if message is not None:
                yield message

    async def write(self, channel: int, data: bytes) -> None:
        """Raises ConnectionError, TimeoutError for a client that does not read."""
        if self._base64:
            await self._messages.send(TextMessage(data=str(channel) + base64.b64encode(data).decode()))
        else:
            await self._messages.send(BytesMessage(data=bytes([channel]) + data))

    async def close(self) -> None:
        await self._messages.close()

    def _parsed(self, message: bytes) -> tuple[int, bytes] | None:
        if not message:
            return None
        if not self._base64:
            return message[0], message[1:]
        if not message[:1].isdigit():
            raise ConnectionError("a message on no channel")
        try:
            return int(message[:1]), base64.b64decode(message[1:], validate=True)
        except binascii.Error as error:
            raise ConnectionError(f"a message that is not in base64: {error}") from error


class WebSocketEnds:
    """remote_command.Ends."""

    def __init__(self, channels: Channels, asked: ExecStream | AttachStream) -> None:
        self.structured = channels.protocol.startswith(("v4.", "v5."))
        self._channels = channels
        self._asked = asked

    async def greet(self) -> None:
        """An empty message tells the client that it is connected, as a kubelet's own server does."""
        lowest = STDOUT if self._asked.stdout else STDERR if self._asked.stderr else ERROR
        await self._channels.write(lowest, b"")

    async def pump(self, session: Session) -> None:
        ended = not self._asked.stdin
        async for channel, data in self._channels.messages():
            if channel == STDIN and not ended and data:
                await session.write(data)
            elif channel == RESIZE:
                await resize(session, data)
            elif channel == CLOSE and self._channels.protocol.startswith("v5.") and data == bytes([STDIN]):
                ended = True
                await session.end_input()

    async def write(self, stream: int, data: bytes) -> None:
        if self._asked.stdout if stream == 1 else self._asked.stderr:
            await self._channels.write(stream, data)

    async def finish(self, status: bytes) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError):
            await self._channels.write(ERROR, status)
            await self._channels.close()
