"""Clients that do not read: they are hung up on, so that what they asked for holds nothing any more."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from aiohttp import web


@contextlib.asynccontextmanager
async def bounded(request: web.Request, patience: float) -> AsyncIterator[None]:
    """Around something that is sent. Raises ConnectionResetError for a client that does not read it.

    Its connection is cut: to close it in good order would wait for it again.
    """
    try:
        async with asyncio.timeout(patience):
            yield
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError("the client does not read") from None
