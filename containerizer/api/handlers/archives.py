"""COPY_IN and COPY_OUT: files of a container as a tar archive, in pieces.

The copy itself (containerizer.copying) reads and writes descriptors and takes a thread; a pipe
stands between it and the event loop, so a slow client makes it wait and no more than a pipe's worth
is held in memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, AsyncIterator

from containerizer.api import pipes
from containerizer.api.context import Context
from containerizer.api.errors import BadRequest
from containerizer.api.handlers.streams import Records
from containerizer.api.ids import to_id
from containerizer.api.proto import agent_pb2 as agent
from containerizer.api.proto import extensions_pb2 as extensions
from containerizer.containerizer import Containerizer
from containerizer.copying.files import ContainerFiles
from launcher.container_id import ContainerId

_PIECE = 64 * 1024  # bytes of an archive in a record


async def copy_out(context: Context, call: agent.Call) -> Records:
    """A failure after the first record ends the connection without the stream's end."""
    asked = call.copy_out
    container_id = to_id(asked.container_id)
    await context.engine.record(container_id)
    readable, writable = os.pipe2(os.O_CLOEXEC)

    def write() -> None:
        try:
            with contextlib.suppress(BrokenPipeError):  # the client is gone
                _files(context, container_id).get_archive(asked.path, writable, follow=asked.follow_link)
        finally:
            os.close(writable)

    copying = asyncio.ensure_future(asyncio.to_thread(write))
    held = contextlib.ExitStack()
    held.callback(os.close, readable)
    with contextlib.ExitStack() as on_failure:
        on_failure.enter_context(held)
        first = await pipes.read(readable, _PIECE)
        if not first:
            await copying  # and raise what it has raised
        on_failure.pop_all()
    return Records(_pieces(first, readable, copying), held.close)


async def _pieces(
    piece: bytes, readable: int, copying: asyncio.Future[None]
) -> AsyncGenerator[extensions.ArchivePart, None]:
    while piece:
        yield extensions.ArchivePart(archive=piece)
        piece = await pipes.read(readable, _PIECE)
    await copying


async def copy_in(context: Context, call: agent.Call, following: AsyncIterator[agent.Call]) -> None:
    """What has been unpacked until a failure stays."""
    asked = call.copy_in
    if not asked.HasField("container_id") or not asked.HasField("path"):
        raise BadRequest("expecting 'copy_in.container_id' and 'copy_in.path' in the first record")
    container_id = to_id(asked.container_id)
    await context.engine.record(container_id)
    readable, writable = os.pipe2(os.O_CLOEXEC)

    def read() -> None:
        try:
            _files(context, container_id).put_archive(readable, asked.path, archive=asked.keep_owners)
        finally:
            os.close(readable)

    copying = asyncio.ensure_future(asyncio.to_thread(read))
    try:
        with contextlib.suppress(BrokenPipeError):  # then the copy has failed, and says why
            await pipes.write(writable, asked.archive)
            async for record in following:
                if record.type != agent.Call.COPY_IN:
                    raise BadRequest("expecting 'copy_in.archive' in every further record")
                await pipes.write(writable, record.copy_in.archive)
    finally:
        os.close(writable)
        await copying


def _files(context: Context, container_id: ContainerId) -> ContainerFiles:
    """Of a containerizer of this thread's own."""
    paths = context.engine.paths
    return Containerizer(root=paths.root, state=paths.state, isolation=()).get(str(container_id)).files
