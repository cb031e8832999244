"""The body of a request as calls: bounded in size and time, and validated as the predecessor does.

Who has sent it may have no right to any call, which is known only when it is read. So what is large holds up
nobody else: few such bodies are in memory at once, and one at a time is decoded, in a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import json
from collections.abc import AsyncGenerator, AsyncIterator

from aiohttp import StreamReader, web

from containerizer.api import media
from containerizer.api.errors import BadRequest, TooLarge
from containerizer.api.media import Body
from containerizer.api.proto.agent_pb2 import Call
from containerizer.api.recordio import Decoder
from containerizer.api.table import ROWS

LARGE = 64 << 10  # bytes; and as many at most may be the first record of a stream, which says what it is
_AT_ONCE = 16  # large bodies that are read


class Bodies:
    """Reads those of all requests. Belongs to one event loop."""

    def __init__(self, most: int) -> None:
        """`most`: bytes of a body, or of a record."""
        self._most = most
        self._large = asyncio.Semaphore(_AT_ONCE)
        self._decoding = asyncio.Lock()

    async def one(self, request: web.Request, body: Body, patience: float) -> Call:
        """Of a request that is no stream. Raises ApiError, also if it has not come within so many seconds."""
        too_large = TooLarge(f"the body is longer than {self._most} bytes")
        if (request.content_length or 0) > self._most:
            raise too_large
        content = request.content
        try:
            if content.is_eof() and content.total_bytes <= min(LARGE, self._most):  # most have come by now
                data = content.read_nowait()
                return _validated(media.decode(data, body.message, Call), data)
            async with asyncio.timeout(patience):
                return await self._whole(content, body, too_large)
        except web.RequestPayloadError:
            raise _broken() from None
        except TimeoutError:
            raise _late(patience) from None

    async def stream(self, request: web.Request, body: Body) -> AsyncGenerator[Call, None]:
        """Each as soon as it is whole. Raises ApiError."""
        decoder = Decoder(min(LARGE, self._most))
        try:
            async for data in request.content.iter_any():
                for record in decoder.feed(data):
                    decoder.limit = self._most
                    yield await self._decoded(record, body)
        except web.RequestPayloadError:
            raise _broken() from None
        decoder.finish()

    async def _whole(self, content: StreamReader, body: Body, too_large: TooLarge) -> Call:
        parts = bytearray()
        async with contextlib.AsyncExitStack() as held:
            while not content.at_eof():
                data = await content.readany()
                if len(parts) <= LARGE < len(parts) + len(data):
                    await held.enter_async_context(self._large)
                parts += data
                if len(parts) > self._most:
                    raise too_large
            return await self._decoded(bytes(parts), body)

    async def _decoded(self, data: bytes, body: Body) -> Call:
        if len(data) <= LARGE:
            return _validated(media.decode(data, body.message, Call), data)
        async with self._decoding:
            call = await asyncio.to_thread(media.decode, data, body.message, Call)
        return _validated(call, data)


async def first_of(calls: AsyncIterator[Call], patience: float) -> Call:
    """Raises ApiError, also if it does not come within so many seconds."""
    try:
        async with asyncio.timeout(patience):
            return await anext(calls)
    except StopAsyncIteration:
        raise BadRequest("the stream ends before its first record") from None
    except TimeoutError:
        raise _late(patience) from None


def _broken() -> BadRequest:
    return BadRequest("the body is not encoded as its headers say")


def _late(patience: float) -> BadRequest:
    return BadRequest(f"the call did not come within {patience:g} s")


def _validated(call: Call, data: bytes) -> Call:
    """Raises BadRequest, in the predecessor's words."""
    if missing := call.FindInitializationErrors():  # type: ignore[attr-defined]
        raise BadRequest(f"Failed to validate agent::Call: expecting '{missing[0]}' to be present")
    if not call.HasField("type"):
        told = "Failed to validate agent::Call: expecting 'type' to be present"
        raise BadRequest(told, hint=_what_type(data) if len(data) <= LARGE else None)
    return call


def _what_type(data: bytes) -> str | None:
    """What to say of the type in this JSON, which is none of ours; None of what is no JSON."""
    try:
        given = json.loads(data).get("type")
    except (ValueError, RecursionError, AttributeError):
        return None
    known = [name for name in Call.Type.keys() if Call.Type.Value(name) in ROWS]  # noqa: SIM118 - no dict
    near = difflib.get_close_matches(str(given)[:100].upper(), known, n=1)
    if given is not None and near:
        return f"{str(given)[:100]!r} is none; did you mean {near[0]}?"
    return f"it is one of {', '.join(sorted(known))}"
