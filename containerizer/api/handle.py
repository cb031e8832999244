"""POST /api/v1: from an HTTP request to a handler, and from what it returns to the answer.

    api = Api(Context(engine, …), authorize, permits)
    app.router.add_post("/api/v1", api.handle)

The server has to cancel a request whose client is gone (aiohttp: handler_cancellation=True): that is
how a launch is taken back, a wait forgotten, and a session ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus

from aiohttp import web
from google.protobuf.message import Message

from containerizer.api import media, recordio
from containerizer.api.body import Bodies, first_of
from containerizer.api.context import Context
from containerizer.api.describing import heartbeat, moment
from containerizer.api.errors import (
    EXIT_CODE_HEADER,
    ApiError,
    BadRequest,
    NotAcceptable,
    NotImplementedHere,
    UnsupportedMediaType,
)
from containerizer.api.files import container_of
from containerizer.api.handlers.streams import Records
from containerizer.api.ids import to_id
from containerizer.api.media import Answer, Body
from containerizer.api.proto import extensions_pb2 as extensions
from containerizer.api.proto.agent_pb2 import Call
from containerizer.api.slow_clients import bounded
from containerizer.api.table import INPUT, ROWS, STREAM, Row
from containerizer.record import NoSuchContainer
from isolators.volume_store import NoSuchVolume, VolumeInUse
from launcher.container_id import ContainerId
from launcher.errors import EXIT_CONTAINERIZER_FAILED, ContainerizerError, InvalidRequest
from provisioner.errors import ImageNotFound

Authorize = Callable[[web.Request, str, ContainerId | None], object]
AuthorizeList = Callable[[web.Request, str], object]
Permits = Callable[[web.Request, str, ContainerId | None], bool]

_STATUSES: tuple[tuple[type[Exception], int], ...] = (  # the first that fits
    (NoSuchContainer, HTTPStatus.NOT_FOUND),
    (ImageNotFound, HTTPStatus.NOT_FOUND),
    (NoSuchVolume, HTTPStatus.NOT_FOUND),
    (VolumeInUse, HTTPStatus.CONFLICT),
    (InvalidRequest, HTTPStatus.BAD_REQUEST),
    (ContainerizerError, HTTPStatus.INTERNAL_SERVER_ERROR),
    (OSError, HTTPStatus.INTERNAL_SERVER_ERROR),
)

_TYPE_NAMES: dict[int, str] = {number: name for name, number in Call.Type.items()}

_log = logging.getLogger(__name__)


class Api:
    """Shared by all requests."""

    def __init__(
        self,
        context: Context,
        authorize: Authorize | None = None,
        permits: Permits | None = None,
        authorize_list: AuthorizeList | None = None,
    ) -> None:
        """`authorize(request, "KILL_CONTAINER", id)` raises if whoever asks may not; `permits` tells
        whether a list that the call answers may have a container in it, and what is about none (None);
        `authorize_list` raises for who may have none of it.
        """
        self._context = context
        self._bodies = Bodies(context.max_request)
        self._authorize = authorize or (lambda _request, _action, _container: None)
        self._permits = permits or (lambda _request, _action, _container: True)
        self._authorize_list = authorize_list or (lambda _request, _action: None)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Any POST. What fails before the answer has begun is told by its status and one sentence."""
        try:
            return await self._answer(request)
        except (ContainerizerError, OSError) as error:
            status = status_of(error)
            if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                _log.warning("a call failed: %s", error)
            return web.Response(status=status, text=str(error), headers=_exit_code(error))

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = media.body_of(request.headers)
        if not body.streams:
            call = await self._bodies.one(request, body, self._context.patience)
            return await self._answer_to(request, body, call, None)
        async with contextlib.aclosing(self._bodies.stream(request, body)) as calls:
            call = await first_of(calls, self._context.patience)
            return await self._answer_to(request, body, call, calls)

    async def _answer_to(
        self, request: web.Request, body: Body, call: Call, further: AsyncIterator[Call] | None
    ) -> web.StreamResponse:
        row = _row(call, body)
        answer = media.answer_to(request.headers)
        _check_acceptable(row, answer)
        name = _TYPE_NAMES[call.type]
        if row.lists:
            self._authorize_list(request, name)
        else:
            self._authorize(request, name, _subject(row, call))
        context = self._context.seen_by(lambda each: self._permits(request, name, each))
        if row.answer == INPUT:
            await row.handler(context, call, further)
            return web.Response()
        result = await row.handler(context, call)
        if isinstance(result, Records):
            return await self._stream(request, result, answer, name)
        return _whole(result, answer)

    async def _stream(
        self, request: web.Request, records: Records, answer: Answer, name: str
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers=answer.headers)
        response.enable_chunked_encoding()
        beat = _BEATS.get(name)
        try:
            await response.prepare(request)
            async for record in with_heartbeats(
                records, self._context.heartbeat, beat and (lambda: beat(self._context.heartbeat))
            ):
                data = recordio.frame(media.encode(record, answer.message))
                async with bounded(request, self._context.patience):
                    await response.write(data)
            await response.write_eof()
        except ConnectionResetError:  # the client is gone
            pass
        finally:
            await records.items.aclose()
            records.close()
        return response


def _exit_code(error: Exception) -> dict[str, str]:
    """For a client that is a command: what `run` and `exec` would have ended with, where that says more."""
    code = max(getattr(each, "exit_code", 0) for each in (error, error.__cause__))
    return {EXIT_CODE_HEADER: str(code)} if code > EXIT_CONTAINERIZER_FAILED else {}


def status_of(error: Exception) -> int:
    """The HTTP status that says what went wrong."""
    if isinstance(error, ApiError):
        return error.status
    return next(status for kind, status in _STATUSES if isinstance(error, kind))


_BEATS: dict[str, Callable[[float], Message]] = {
    "LAUNCH_NESTED_CONTAINER_SESSION": heartbeat,
    "ATTACH_CONTAINER_OUTPUT": heartbeat,
    "LAUNCH_SESSION": heartbeat,
    "EVENTS": lambda _: extensions.Event(kind="heartbeat", time=moment(time.time())),
}


async def with_heartbeats(
    records: Records, interval: float, beat: Callable[[], Message] | None
) -> AsyncIterator[Message]:
    """The records, and between them a sign of life whenever none has come for `interval` seconds."""
    coming: asyncio.Future[Message] | None = None
    try:
        while True:
            coming = coming or asyncio.ensure_future(anext(records.items))
            done, _ = await asyncio.wait((coming,), timeout=interval if beat else None)
            if not done and beat:
                yield beat()
                continue
            try:
                record = coming.result()
            except StopAsyncIteration:
                return
            coming = None
            yield record
    finally:
        if coming is not None:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)


def _row(call: Call, body: Body) -> Row:
    row = ROWS.get(call.type)
    if row is None:
        raise NotImplementedHere(f"{Call.Type.Name(call.type)} is no call of this API")
    if body.streams != (row.answer == INPUT):
        name = Call.Type.Name(call.type)
        kind = media.RECORDIO if row.answer == INPUT else f"{media.JSON} or {media.PROTOBUF}"
        raise UnsupportedMediaType(f"expecting 'Content-Type' of {kind} for {name}")
    if row.carries and not call.HasField(row.carries):
        raise BadRequest(f"Failed to validate agent::Call: expecting '{row.carries}' to be present")
    return row


def _subject(row: Row, call: Call) -> ContainerId | None:
    """The container that the call is about. Raises InvalidRequest."""
    carried = getattr(call, row.carries) if row.carries else None
    if isinstance(carried, (Call.ListFiles, Call.ReadFile)):
        return container_of(carried.path)
    if carried is None or "container_id" not in carried.DESCRIPTOR.fields_by_name:
        return None
    return to_id(carried.container_id) if carried.HasField("container_id") else None


def _check_acceptable(row: Row, answer: Answer) -> None:
    if row.answer != STREAM and answer.streams:
        raise NotAcceptable("the answer to this call is no stream", hint=f"accept {media.JSON}")


def _whole(result: Message | HTTPStatus | None, answer: Answer) -> web.Response:
    if isinstance(result, Message):
        return web.Response(body=media.encode(result, answer.message), headers=answer.headers)
    return web.Response(status=result or HTTPStatus.OK)
