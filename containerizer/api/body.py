"""The body of a request as calls: bounded in size and time, and validated as the predecessor does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

from aiohttp import web

from containerizer.api import media
from containerizer.api.errors import BadRequest, TooLarge
from containerizer.api.media import Body
from containerizer.api.proto.agent_pb2 import Call
from containerizer.api.recordio import MAX_RECORD, Decoder

BODY_TIMEOUT = 60.0  # seconds for the whole body of a call that is no stream, or the first record of one


async def calls_of(request: web.Request, body: Body) -> AsyncGenerator[Call, None]:
    """One; or in a stream those that come, each as soon as it is whole. Raises ApiError."""
    if not body.streams:
        yield _validated(media.decode(await _read(request), body.message, Call))
        return
    decoder = Decoder()
    async for data in request.content.iter_any():
        for record in decoder.feed(data):
            yield _validated(media.decode(record, body.message, Call))
    decoder.finish()


async def _read(request: web.Request) -> bytes:
    parts = bytearray()
    async for data in request.content.iter_any():
        parts += data
        if len(parts) > MAX_RECORD:
            raise TooLarge(f"the body is longer than {MAX_RECORD} bytes")
    return bytes(parts)


async def first_of(calls: AsyncIterator[Call]) -> Call:
    """Raises ApiError, also if it does not come in time."""
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            return await anext(calls)
    except StopAsyncIteration:
        raise BadRequest("the stream ends before its first record") from None
    except TimeoutError:
        raise BadRequest(f"the call did not come within {BODY_TIMEOUT:g} s") from None


def _validated(call: Call) -> Call:
    """Raises BadRequest, in the predecessor's words."""
    if missing := call.FindInitializationErrors():  # type: ignore[attr-defined]
        raise BadRequest(f"Failed to validate agent::Call: expecting '{missing[0]}' to be present")
    if not call.HasField("type"):
        raise BadRequest("Failed to validate agent::Call: expecting 'type' to be present")
    return call
