"""A connection that speaks SPDY/3.1, the serving end: streams that the client opens, each with headers.

The libraries that Kubernetes uses neither keep to windows nor open them, so neither do we wait for any:
what holds a sender up is TCP. A stream that nobody reads holds up its connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

from containerizer.cri.streaming.frames import (
    GOAWAY,
    PING,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    RST_STREAM,
    SYN_STREAM,
    Decoder,
    Encoder,
    Frame,
    SpdyError,
)

_CHUNK = 32 << 10  # bytes written in one frame, and read at once
_QUEUED = 32  # pieces of one stream that nobody has read
_MOST = 256  # streams at once

Accept = Callable[["Stream"], None]  # raises SpdyError to refuse it


class Reader(Protocol):
    """asyncio's, or what looks like it (tunnel.py)."""

    async def read(self, n: int, /) -> bytes: ...


class Writer(Protocol):
    """Likewise."""

    def write(self, data: bytes, /) -> None: ...

    async def drain(self) -> None: ...


class Stream:
    """Both directions of one."""

    def __init__(self, connection: Connection, number: int, headers: Mapping[str, str]) -> None:
        self.number = number
        self.headers = headers  # names in lower case
        self._connection = connection
        self._pieces: asyncio.Queue[bytes] = asyncio.Queue(_QUEUED)
        self._ended = False  # b"" was read
        self._finished = False

    async def read(self) -> bytes:
        """The next piece; b"" at the end."""
        if self._ended:
            return b""
        piece = await self._pieces.get()
        self._ended = not piece
        return piece

    async def write(self, data: bytes) -> None:
        """Raises ConnectionError, TimeoutError for a client that does not read."""
        for start in range(0, len(data), _CHUNK):
            if not self._finished:
                await self._connection.send_data(self.number, data[start : start + _CHUNK])

    async def finish(self) -> None:
        """Nothing more will be written. Idempotent."""
        if not self._finished:
            self._finished = True
            await self._connection.send_data(self.number, b"", last=True)

    async def take(self, piece: bytes) -> None:
        """Of the connection. b"": the end."""
        await self._pieces.put(piece)

    def end(self) -> None:
        """Of the connection: it was reset, or the connection is gone; what is unread is lost."""
        while not self._pieces.empty():
            self._pieces.get_nowait()
        self._pieces.put_nowait(b"")
        self._finished = True


class Connection:
    """Made after the upgrade; `first` has come with the request."""

    def __init__(self, reader: Reader, writer: Writer, first: bytes, patience: float) -> None:
        """`patience`: seconds that the client may take to read."""
        self._reader, self._writer, self._first, self._patience = reader, writer, first, patience
        self._decoder, self._encoder = Decoder(), Encoder()
        self._streams: dict[int, Stream] = {}
        self._last = 0  # number of the newest stream

    async def serve(self, accept: Accept) -> None:
        """Until the client is gone. Raises SpdyError, ConnectionError."""
        data = self._first
        try:
            while True:
                for frame in self._decoder.feed(data):
                    if frame.kind == GOAWAY:
                        return
                    await self._take(frame, accept)
                data = await self._reader.read(_CHUNK)
                if not data:
                    return
        finally:
            for stream in tuple(self._streams.values()):
                stream.end()

    async def send_data(self, number: int, payload: bytes, *, last: bool = False) -> None:
        await self._send(self._encoder.data(number, payload, last=last))

    async def go_away(self) -> None:
        """No more streams are taken."""
        await self._send(self._encoder.go_away(self._last))

    def forget(self, stream: Stream) -> None:
        """Nobody reads it any more: what comes for it still is dropped, and holds up nobody."""
        self._streams.pop(stream.number, None)
        stream.end()

    async def _take(self, frame: Frame, accept: Accept) -> None:
        stream = self._streams.get(frame.number)
        if frame.kind == SYN_STREAM:
            await self._opened(frame, accept)
        elif frame.kind == PING:
            if frame.number % 2:  # the client's own; an even one answers one of ours
                await self._send(self._encoder.ping(frame.number))
        elif stream is None:
            return  # what comes late for one that is over
        elif frame.kind == RST_STREAM:
            self.forget(stream)
        elif frame.kind == 0:
            if frame.payload:
                await stream.take(frame.payload)
                await self._send(self._encoder.window_update(frame.number, len(frame.payload)))
            if frame.is_last:
                await stream.take(b"")

    async def _opened(self, frame: Frame, accept: Accept) -> None:
        number = frame.number
        if number % 2 == 0 or number <= self._last:
            await self._send(self._encoder.reset(number, PROTOCOL_ERROR))
            return
        self._last = number
        stream = Stream(self, number, frame.headers or {})
        try:
            if len(self._streams) >= _MOST:
                raise SpdyError(f"more than {_MOST} streams")
            accept(stream)
        except SpdyError:
            await self._send(self._encoder.reset(number, REFUSED_STREAM))
            return
        self._streams[number] = stream
        await self._send(self._encoder.syn_reply(number))
        if frame.is_last:
            await stream.take(b"")

    async def _send(self, data: bytes) -> None:
        self._writer.write(data)
        async with asyncio.timeout(self._patience):
            await self._writer.drain()
