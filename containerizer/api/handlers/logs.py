"""FOLLOW_LOGS: a container's log, and what is added to it until its task ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Iterable

from containerizer.api.context import Context
from containerizer.api.errors import BadRequest
from containerizer.api.handlers.streams import Records
from containerizer.api.ids import to_id
from containerizer.api.proto import agent_pb2 as agent
from containerizer.api.proto import extensions_pb2 as extensions
from containerizer.api.proto import process_io_pb2 as process_io
from containerizer.logs import Entry, LogReader, files_of, last
from launcher.attach import NotServed
from launcher.container_id import ContainerId
from launcher.kernel import inotify

_STREAMS = {
    "stdout": process_io.ProcessIO.Data.STDOUT,
    "stderr": process_io.ProcessIO.Data.STDERR,
}
_CHANGES = inotify.MODIFY | inotify.CREATE | inotify.MOVED_TO


async def follow_logs(context: Context, call: agent.Call) -> Records:
    asked = call.follow_logs
    container_id = to_id(asked.container_id)
    if asked.previous:
        return Records(_entries(_once(_previous(context, container_id)), asked), lambda: None)
    record = await context.engine.record(container_id)
    if record.stdio == "inherit":
        hint = "run it with -d or -t to have a log"
        raise NotServed(f"the output of {container_id} went to the command that ran it", hint=hint)
    held = contextlib.ExitStack()
    reader = LogReader(context.engine.paths.log(container_id))
    held.callback(reader.close)
    batches = _batches(context, container_id, reader, held) if asked.follow else _once(reader)
    return Records(_entries(batches, asked), held.close)


def _previous(context: Context, container_id: ContainerId) -> LogReader:
    """Raises BadRequest."""
    path = context.engine.paths.previous_log(container_id) if container_id.parent is not None else None
    if path is None or not files_of(path):
        raise BadRequest(f"{container_id} has had no run before this one")
    return LogReader(path)


async def _entries(
    batches: AsyncGenerator[list[Entry], None], asked: extensions.FollowLogs
) -> AsyncGenerator[extensions.LogEntry, None]:
    tail = asked.tail if asked.HasField("tail") else None
    async for batch in batches:
        wanted: Iterable[Entry] = (entry for entry in batch if entry.timestamp >= asked.since)
        if tail is not None:  # of what was there when the client came
            wanted, tail = last(wanted, tail), None
        for entry in wanted:
            stream = _STREAMS.get(entry.stream, process_io.ProcessIO.Data.STDOUT)
            yield extensions.LogEntry(timestamp=entry.timestamp, stream=stream, data=entry.content)


async def _once(reader: LogReader) -> AsyncGenerator[list[Entry], None]:
    with contextlib.closing(reader):
        yield await asyncio.to_thread(lambda: list(reader.entries()))


async def _batches(
    context: Context, container_id: ContainerId, reader: LogReader, held: contextlib.ExitStack
) -> AsyncGenerator[list[Entry], None]:
    changes = inotify.watch(context.engine.paths.sandbox(container_id), _CHANGES)
    held.callback(os.close, changes)
    changed = asyncio.Event()
    loop = asyncio.get_running_loop()

    def tell() -> None:
        inotify.drain(changes)
        changed.set()

    loop.add_reader(changes, tell)
    held.callback(loop.remove_reader, changes)
    end = asyncio.ensure_future(context.engine.wait(container_id))
    held.callback(end.cancel)
    end.add_done_callback(lambda _: changed.set())
    ended = False
    while not ended:
        changed.clear()
        ended = end.done()
        yield await asyncio.to_thread(lambda: list(reader.entries()))
        if not ended:
            await changed.wait()
