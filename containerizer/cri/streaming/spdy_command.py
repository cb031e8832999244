"""The client's ends of a session over SPDY: a stream each for input, output, errors, sizes and the status."""

from __future__ import annotations

import asyncio
import contextlib

from containerizer.cri.sessions import Session
from containerizer.cri.streaming.frames import SpdyError
from containerizer.cri.streaming.remote_command import resize
from containerizer.cri.streaming.spdy import Connection, Stream
from containerizer.cri.streams import AttachStream, ExecStream

PROTOCOLS = tuple(f"{version}channel.k8s.io" for version in ("v4.", "v3.", "v2.", ""))

_OPENING = 30.0  # seconds for the client to open its streams
_LINE = 4096  # bytes of a size


class SpdyEnds:
    """remote_command.Ends. Streams come as the client opens them: `opened` waits for all."""

    def __init__(self, connection: Connection, asked: ExecStream | AttachStream, protocol: str) -> None:
        self.structured = protocol.startswith("v4.")
        self._connection = connection
        self._streams: dict[str, Stream] = {}
        self._complete = asyncio.Event()
        resizes = asked.tty and protocol.startswith(("v3.", "v4."))
        wanted = {"error": True, "stdin": asked.stdin, "stdout": asked.stdout, "stderr": asked.stderr}
        self._wanted = {name for name, is_wanted in {**wanted, "resize": resizes}.items() if is_wanted}
        self._serving = asyncio.ensure_future(connection.serve(self._accept))

    async def opened(self) -> bool:
        """Whether the client has opened what it asked for."""
        waiting = asyncio.ensure_future(self._complete.wait())
        try:
            await asyncio.wait(
                (waiting, self._serving), timeout=_OPENING, return_when=asyncio.FIRST_COMPLETED
            )
            return self._complete.is_set()
        finally:
            waiting.cancel()

    async def close(self) -> None:
        self._serving.cancel()
        await asyncio.gather(self._serving, return_exceptions=True)

    def _accept(self, stream: Stream) -> None:
        kind = stream.headers.get("streamtype", "")
        if kind not in self._wanted or kind in self._streams:
            raise SpdyError(f"a stream of type {kind!r} was not asked for")
        self._streams[kind] = stream
        if self._streams.keys() == self._wanted:
            self._complete.set()

    async def greet(self) -> None:
        """The client has had its replies."""

    async def pump(self, session: Session) -> None:
        ways = [asyncio.ensure_future(self._stdin(session)), asyncio.ensure_future(self._sizes(session))]
        try:
            await asyncio.shield(self._serving)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _stdin(self, session: Session) -> None:
        stream = self._streams.get("stdin")
        if stream is not None:
            while piece := await stream.read():
                await session.write(piece)
            await session.end_input()

    async def _sizes(self, session: Session) -> None:
        stream = self._streams.get("resize")
        rest = b""
        while stream is not None and (piece := await stream.read()):
            *lines, rest = (rest + piece)[-_LINE:].split(b"\n")
            if lines:
                await resize(session, lines[-1])  # of several only the last one counts

    async def write(self, stream: int, data: bytes) -> None:
        target = self._streams.get("stdout" if stream == 1 else "stderr")
        if target is not None:
            await target.write(data)

    async def finish(self, status: bytes) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError):
            if "error" in self._streams:
                await self._streams["error"].write(status)
            for stream in self._streams.values():
                await stream.finish()
            await self._connection.go_away()
            async with asyncio.timeout(_OPENING):  # for the client to close; what it gets is not cut short
                await asyncio.shield(self._serving)
