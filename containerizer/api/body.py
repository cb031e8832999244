"""The body of a request as calls: bounded in size and time, and validated as the predecessor does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

from aiohttp import web

from containerizer.api import media
from containerizer.api.errors import BadRequest, TooLarge
from containerizer.api.media import Body
from containerizer.api.proto.agent_pb2 import Call
from containerizer.api.recordio import Decoder


async def calls_of(request: web.Request, body: Body, most: int) -> AsyncGenerator[Call, None]:
    """One; or in a stream those that come, each as soon as it is whole. Raises ApiError.

    `most`: bytes of the body of one, or of a record.
    """
    if not body.streams:
        yield _validated(media.decode(await _read(request, most), body.message, Call))
        return
    decoder = Decoder(most)
    async for data in request.content.iter_any():
        for record in decoder.feed(data):
            yield _validated(media.decode(record, body.message, Call))
    decoder.finish()


async def _read(request: web.Request, most: int) -> bytes:
    too_large = TooLarge(f"the body is longer than {most} bytes")
    if (request.content_length or 0) > most:
        raise too_large
    parts = bytearray()
    async for data in request.content.iter_any():
        parts += data
        if len(parts) > most:
            raise too_large
    return bytes(parts)


async def first_of(calls: AsyncIterator[Call], patience: float) -> Call:
    """Raises ApiError, also if it does not come within so many seconds."""
    try:
        async with asyncio.timeout(patience):
            return await anext(calls)
    except StopAsyncIteration:
        raise BadRequest("the stream ends before its first record") from None
    except TimeoutError:
        raise BadRequest(f"the call did not come within {patience:g} s") from None


def _validated(call: Call) -> Call:
    """Raises BadRequest, in the predecessor's words."""
    if missing := call.FindInitializationErrors():  # type: ignore[attr-defined]
        raise BadRequest(f"Failed to validate agent::Call: expecting '{missing[0]}' to be present")
    if not call.HasField("type"):
        raise BadRequest("Failed to validate agent::Call: expecting 'type' to be present")
    return call
