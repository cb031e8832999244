"""Calls that are answered by a stream of records.

Each comes in two parts: what can fail is done first, while the status of the answer can still say
so. What is returned then has the records, and a way to give back what they hold, which is called
even if nobody has read one: the client may be gone by then.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from functools import partial

from google.protobuf.message import Message

from containerizer.agent.events import Event as Happening
from containerizer.agent.streams import Stream
from containerizer.api import describing, launching
from containerizer.api.context import Context
from containerizer.api.describing import moment
from containerizer.api.errors import BadRequest
from containerizer.api.handlers.containers import (
    LaunchRefused,
    exec_request,
    known,
    launch_now,
    of_nested,
    require_parent,
)
from containerizer.api.ids import to_id
from containerizer.api.proto import agent_pb2 as agent
from containerizer.api.proto import extensions_pb2 as extensions
from containerizer.api.proto import process_io_pb2 as process_io
from containerizer.containerizer import Containerizer
from launcher.attach import Attachment, Event, Output, Skipped
from launcher.container_id import ContainerId
from launcher.data import replace
from launcher.errors import ContainerizerError
from launcher.stdio import Pipes, Terminal

_OF_COMMANDS = ("type", "mesos", "tty_info")  # of ContainerInfo: what a further command can have


class Records:
    """The stream that answers a call."""

    def __init__(self, items: AsyncGenerator[Message, None], close: Callable[[], object]) -> None:
        """`close` is called once, after the last item that anybody wants."""
        self.items = items
        self.close = close


async def attach_container_output(context: Context, call: agent.Call) -> Records:
    """What the task writes, the last 64 KiB of before first, until it ends."""
    stream = await context.engine.attach(to_id(call.attach_container_output.container_id))
    return Records(_output(stream.output()), stream.close)


async def _output(events: AsyncIterator[Event]) -> AsyncGenerator[process_io.ProcessIO, None]:
    async for event in events:
        if isinstance(event, Output | Skipped):
            yield describing.output(event)


async def launch_nested_container_session(context: Context, call: agent.Call) -> Records:
    """A command in the parent, or with an image of tools beside it, for as long as somebody reads."""
    asked = call.launch_nested_container_session
    require_parent(asked.container_id)
    container_id = to_id(asked.container_id)
    if await known(context, container_id):
        raise BadRequest(f"container {container_id} is there already", hint="choose another id")
    attachments: list[Attachment] = []

    try:
        await _launch_session(context, container_id, asked, partial(_attach, attachments, container_id))
    except BaseException as error:
        _close(attachments)
        if isinstance(error, ContainerizerError | OSError):
            raise LaunchRefused(str(error)) from error
        raise
    stream = Stream(attachments[0])

    def end() -> None:
        stream.close()
        context.engine.keeper.destroy_later(container_id)

    return Records(_output(stream.events()), end)


async def launch_session(context: Context, call: agent.Call) -> Records:
    """LAUNCH_CONTAINER and ATTACH_CONTAINER_OUTPUT in one, so that no output comes before the client.

    The container lives on when the client has gone.
    """
    asked = call.launch_session
    container_id = to_id(asked.container_id)
    if await known(context, container_id):
        raise BadRequest(f"container {container_id} is there already", hint="choose another id")
    attachments: list[Attachment] = []
    try:
        await launch_now(context, container_id, asked, partial(_attach, attachments, container_id))
    except BaseException:
        _close(attachments)
        raise
    stream = Stream(attachments[0])
    return Records(_output(stream.events()), stream.close)


def _attach(attachments: list[Attachment], container_id: ContainerId, owner: Containerizer) -> None:
    """Before the task can write, or end."""
    attachments.append(owner.attach(container_id))
    attachments[0].attach(paced=True)


def _close(attachments: list[Attachment]) -> None:
    for attachment in attachments:
        attachment.close()


async def _launch_session(
    context: Context,
    container_id: ContainerId,
    asked: agent.Call.LaunchNestedContainerSession,
    first: Callable[[Containerizer], object],
) -> None:
    stdio: Pipes | Terminal = launching.stdio_of(launching.tty_of(asked.container), stdin=True)
    if asked.container.mesos.HasField("image"):
        request = launching.container_request(container_id, of_nested(asked))
        await context.engine.launch(replace(request, debugs=True), stdio, first)
        return
    assert container_id.parent is not None
    for field, _ in asked.container.ListFields():
        if field.name not in _OF_COMMANDS:
            hint = "with an image the session is a container of its own"
            raise BadRequest(f"'container.{field.name}' is not supported in a session", hint=hint)
    command = replace(exec_request(asked.command), container_id=container_id)
    await context.engine.execute(container_id.parent, command, stdio, first)


async def events(context: Context, _: agent.Call) -> Records:
    """Everything that happens from now on; the subscription is there when the answer begins."""
    held = contextlib.ExitStack()
    queue = held.enter_context(context.engine.events.subscribed())

    async def follow() -> AsyncGenerator[extensions.Event, None]:
        while True:
            event = await queue.next()
            if not visible(context, event):
                continue
            yield extensions.Event(
                kind=event.kind,
                time=moment(event.time),
                subject=event.subject,
                details={name: str(value) for name, value in event.details.items()},
                missed=event.missed,
            )

    return Records(follow(), held.close)


def visible(context: Context, event: Happening) -> bool:
    """What is about no container is for whoever may make the call without naming one."""
    return context.visible(ContainerId.parse(event.subject) if event.about_container else None)
