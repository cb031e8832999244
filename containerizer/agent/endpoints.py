"""The endpoints beside the v1 API: for people, for scripts, and for what collects metrics."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from importlib import metadata

from aiohttp import web

from containerizer import inspection
from containerizer.agent import views
from containerizer.agent.serving import (
    ACTIVITY,
    ENGINE,
    FILES,
    METRICS,
    SETTINGS,
    authorize,
    authorize_list,
    permits,
    write,
)
from containerizer.api.files import container_of
from containerizer.record import ContainerRecord
from isolators.resources import Usage
from launcher.data import asdict
from launcher.errors import InvalidRequest

_CHUNK = 256 * 1024  # bytes of a download
_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def add_to(app: web.Application) -> None:
    app.add_routes(
        [
            web.get("/health", _health),
            web.get("/version", _version),
            web.get("/flags", _flags),
            web.get("/state", _state),
            web.get("/containers", _containers),
            web.get("/monitor/statistics", _statistics),
            web.get("/metrics", _metrics),
            web.get("/metrics/snapshot", _snapshot),
            web.get("/files/browse", _browse),
            web.get("/files/read", _read),
            web.get("/files/download", _download),
            web.get("/files/debug", _debug),
        ]
    )


async def _health(request: web.Request) -> web.Response:
    return web.Response()


async def _version(request: web.Request) -> web.Response:
    return web.json_response({"version": metadata.version("containerizer")})


async def _flags(request: web.Request) -> web.Response:
    authorize(request, "GET_FLAGS")
    return web.json_response({"flags": request.app[SETTINGS].flags})


async def _state(request: web.Request) -> web.Response:
    authorize_list(request, "GET_STATE")
    engine, settings = request.app[ENGINE], request.app[SETTINGS]
    of_agent = settings.flags if permits(request, "GET_STATE") else {}  # what is about no container
    failures = engine.keeper.failures.items()
    records = [each for each in await engine.containers() if permits(request, "GET_STATE", each.id)]
    return web.json_response(
        {
            "hostname": settings.hostname,
            "pid": os.getpid(),
            "version": metadata.version("containerizer"),
            "start_time": request.app[ACTIVITY].started,
            "time": time.time(),
            "flags": of_agent,
            "containers": [views.summary(record) for record in records],
            "failing_destroys": [
                asdict(each) for own, each in failures if permits(request, "GET_STATE", own)
            ],
        }
    )


async def _containers(request: web.Request) -> web.Response:
    authorize_list(request, "GET_CONTAINERS")
    engine = request.app[ENGINE]
    usages = await engine.usages()
    statuses = await engine.call(inspection.statuses)
    return web.json_response(
        [
            views.container(status, usages.get(str(status.record.id)) or Usage())
            for status in statuses
            if _asked(request, status.record)
        ]
    )


async def _statistics(request: web.Request) -> web.Response:
    authorize_list(request, "GET_CONTAINERS")
    engine = request.app[ENGINE]
    usages = await engine.usages()
    shown = [record for record in await engine.containers() if _asked(request, record)]
    return web.json_response(
        [views.monitored(record, usages[str(record.id)]) for record in shown if str(record.id) in usages]
    )


def _asked(request: web.Request, record: ContainerRecord) -> bool:
    wanted = request.query.get("container_id")
    return wanted in (None, str(record.id)) and permits(request, "GET_CONTAINERS", record.id)


async def _metrics(request: web.Request) -> web.Response:
    authorize(request, "GET_METRICS")
    text = await request.app[METRICS].text()
    return web.Response(body=text, headers={"Content-Type": _METRICS_TYPE})


async def _snapshot(request: web.Request) -> web.Response:
    authorize(request, "GET_METRICS")
    return web.json_response(await request.app[METRICS].snapshot())


# Files -------------------------------------------------------------------------------------------


async def _browse(request: web.Request) -> web.Response:
    path = _path(request, "LIST_FILES")
    listed = await asyncio.to_thread(request.app[FILES].browse, path)
    return web.json_response([views.file_info(found) for found in listed])


async def _read(request: web.Request) -> web.Response:
    """From `offset` on; -1, or none, asks for the size only, and that is then the offset of the answer."""
    path = _path(request, "READ_FILE")
    asked, length = _number(request, "offset"), _number(request, "length")
    offset = None if asked == -1 else asked
    size, data = await asyncio.to_thread(request.app[FILES].read, path, offset, length)
    shown = size if offset is None else offset
    return web.json_response({"offset": shown, "data": data.decode("utf-8", "replace")})


async def _download(request: web.Request) -> web.StreamResponse:
    path = _path(request, "READ_FILE")
    with request.app[FILES].opened(path) as file:
        response = web.StreamResponse()
        response.content_length = os.fstat(file).st_size
        response.content_type = "application/octet-stream"
        response.headers["Content-Disposition"] = "attachment"
        response.headers["X-Content-Type-Options"] = "nosniff"
        await response.prepare(request)
        async for chunk in _chunks(file, response.content_length):
            await write(request, response, chunk)
        await response.write_eof()
        return response


async def _chunks(file: int, size: int) -> AsyncIterator[bytes]:
    """As many bytes as were announced, of a file that may grow or shrink meanwhile."""
    offset = 0
    while offset < size:
        chunk = await asyncio.to_thread(os.pread, file, min(_CHUNK, size - offset), offset)
        if not chunk:
            raise ConnectionResetError("the file has shrunk")
        offset += len(chunk)
        yield chunk


async def _debug(request: web.Request) -> web.Response:
    """Virtual paths, and where they lead."""
    authorize_list(request, "LIST_FILES")
    engine = request.app[ENGINE]
    return web.json_response(
        {
            f"/containers/{record.id}": engine.paths.sandbox(record.id)
            for record in await engine.containers()
            if permits(request, "LIST_FILES", record.id)
        }
    )


def _path(request: web.Request, call: str) -> str:
    path = request.query.get("path")
    if path is None:
        raise InvalidRequest("no path given", hint="add ?path=/containers/<id>/…")
    authorize(request, call, container_of(path))
    return path


def _number(request: web.Request, name: str) -> int | None:
    """Raises InvalidRequest for one that no file has."""
    text = request.query.get(name)
    try:
        number = None if text is None else int(text)
    except ValueError:
        number = -2
    if number is not None and number < -1:
        raise InvalidRequest(f"invalid {name} {text!r}", hint="write a whole number")
    return number
