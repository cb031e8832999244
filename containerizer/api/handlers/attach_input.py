"""ATTACH_CONTAINER_INPUT: a stream of records that are typed for a task.

The first record names the container. The others have data for its stdin, of which an empty piece is
the end; the size of the client's terminal; or nothing but a sign of life. A client that just goes
away leaves the stdin open: another one may come.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

from containerizer.agent.streams import Stream
from containerizer.api.context import Context
from containerizer.api.errors import BadRequest, Conflict
from containerizer.api.ids import to_id
from containerizer.api.proto import agent_pb2 as agent
from containerizer.api.proto import process_io_pb2 as process_io
from launcher.container_id import ContainerId

Input = agent.Call.AttachContainerInput
ProcessIO = process_io.ProcessIO


async def attach_container_input(
    context: Context, call: agent.Call, following: AsyncIterator[agent.Call]
) -> None:
    """Returns at the end of the stream, or at that of the container. Raises Conflict for a second writer."""
    asked = call.attach_container_input
    if asked.type != Input.CONTAINER_ID or not asked.HasField("container_id"):
        raise BadRequest("expecting 'attach_container_input.container_id' in the first record")
    container_id = to_id(asked.container_id)
    with _alone(context, container_id):
        async with await context.engine.attach(container_id) as stream:
            await _until_end(context, container_id, _pass_on(stream, following))


@contextlib.contextmanager
def _alone(context: Context, container_id: ContainerId) -> Iterator[None]:
    if container_id in context.writers:
        raise Conflict(f"another client writes to container {container_id}")
    context.writers.add(container_id)
    try:
        yield
    finally:
        context.writers.discard(container_id)


async def _until_end(context: Context, container_id: ContainerId, work: object) -> None:
    """Do it, but no longer than the container lives: then nobody reads what is still to come."""
    typing = asyncio.ensure_future(work)  # type: ignore[call-overload]
    end = asyncio.ensure_future(context.engine.wait(container_id))
    try:
        await asyncio.wait((typing, end), return_when=asyncio.FIRST_COMPLETED)
        if typing.done():
            typing.result()
    finally:
        for task in (typing, end):
            task.cancel()
        await asyncio.gather(typing, end, return_exceptions=True)


async def _pass_on(stream: Stream, following: AsyncIterator[agent.Call]) -> None:
    hello = await stream.hello()
    if hello is None:  # it has just ended
        return
    async for call in following:
        record = call.attach_container_input
        if call.type != agent.Call.ATTACH_CONTAINER_INPUT or record.type != Input.PROCESS_IO:
            raise BadRequest("expecting 'attach_container_input.process_io' in every further record")
        await _type(stream, record.process_io, has_terminal=hello.has_terminal)


async def _type(stream: Stream, record: ProcessIO, *, has_terminal: bool) -> None:
    if record.type == ProcessIO.DATA:
        if record.data.type != ProcessIO.Data.STDIN:
            raise BadRequest("expecting data for STDIN")
        if record.data.data:
            await stream.write(record.data.data)
        else:
            await stream.end_input()
    elif record.control.type == ProcessIO.Control.TTY_INFO:
        if not has_terminal:
            raise BadRequest("the container has no terminal to be resized")
        size = record.control.tty_info.window_size
        await stream.resize(size.rows, size.columns)
    elif record.control.type != ProcessIO.Control.HEARTBEAT:
        raise BadRequest("a record has neither data nor control")
