"""The agent's HTTP application: who asks, what is refused before anything is done, and the old endpoints.

A handler finds what it needs in the application:

    engine = request.app[ENGINE]
    principal = request[PRINCIPAL]          who asks; None where nobody has to say
    authorize(request, "LAUNCH_CONTAINER", container_id)     raises web.HTTPForbidden
    body = await read_body(request)         bounded in size and time
    await write(response, data)             to a stream; a client that does not read is dropped
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct
import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from containerizer.agent.acls import Acls
from containerizer.agent.credentials import Credentials
from containerizer.agent.engine import Engine
from containerizer.agent.metrics import Metrics
from containerizer.api.context import Context
from containerizer.api.files import VirtualFiles
from containerizer.api.handle import Api, status_of
from launcher.container_id import ContainerId
from launcher.data import Data, field
from launcher.errors import ContainerizerError

REALM = "containerizer"
PRINCIPAL = "principal"
OPEN = frozenset({"/health"})  # told to everybody, and during recovery

_UCRED = struct.Struct("=iII")  # struct ucred of unix(7)
_log = logging.getLogger("containerizer.agent")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ServerSettings(Data, kw_only=True):
    """Sizes are bytes, times are seconds."""

    acls: Acls = Acls()
    max_request_size: int = 4 << 20
    max_requests: int = 1000  # at once, waits and streams among them
    request_timeout: float = 60.0
    heartbeat: float = 30.0  # between signs of life in streams
    hostname: str = field(default_factory=lambda: os.uname().nodename)
    log_file: str | None = None  # the agent's own log, as /slave/log
    flags: dict[str, str] = field(default_factory=dict)  # as they are shown


class Activity:
    """What the server is doing."""

    def __init__(self) -> None:
        self.requests = 0
        self.ready = False  # the engine has recovered
        self.started = time.time()


ENGINE = web.AppKey("engine", Engine)
METRICS = web.AppKey("metrics", Metrics)
FILES = web.AppKey("files", VirtualFiles)
SETTINGS = web.AppKey("settings", ServerSettings)
ACTIVITY = web.AppKey("activity", Activity)
CREDENTIALS = web.AppKey("credentials", Credentials)


def application(
    engine: Engine, settings: ServerSettings | None = None, credentials: Credentials | None = None
) -> web.Application:
    """Ready to serve, once `app[ACTIVITY].ready`."""
    from containerizer.agent import endpoints

    settings = settings or ServerSettings()
    app = web.Application(
        client_max_size=settings.max_request_size,
        middlewares=[_answer_errors, _bound_requests, _authenticate, _await_recovery],
    )
    app[ENGINE] = engine
    app[METRICS] = Metrics(engine)
    app[SETTINGS] = settings
    app[ACTIVITY] = Activity()
    if credentials is not None:
        app[CREDENTIALS] = credentials
    endpoints.add_to(app)
    app[FILES] = VirtualFiles(engine.paths, log=settings.log_file)
    context = Context(
        engine,
        flags=settings.flags,
        metrics=app[METRICS].snapshot,
        files=app[FILES],
        heartbeat=settings.heartbeat,
        patience=settings.request_timeout,
        hostname=settings.hostname,
    )
    app.on_cleanup.append(lambda _: context.checker.close())
    api = Api(context, authorize, permits)
    for prefix in ("", "/slave(1)"):  # the second is the predecessor's name of an agent
        app.router.add_post(f"{prefix}/api/v1", api.handle)
    return app


def authorize(request: web.Request, call: str, container: ContainerId | str | None = None) -> None:
    """Raises web.HTTPForbidden if the principal may not make this call about this container."""
    principal = request[PRINCIPAL]
    if not permits(request, call, container):
        _log.warning("refused %s of %s", call, principal)
        raise web.HTTPForbidden(text=f"{principal or 'nobody'} may not {call}")


def permits(request: web.Request, call: str, container: ContainerId | str | None = None) -> bool:
    """Whether the principal may; for lists, from which what one may not see is left out."""
    subject = None if container is None else str(container)
    return request.app[SETTINGS].acls.permits(request[PRINCIPAL], call, subject)


async def read_body(request: web.Request) -> bytes:
    """The whole body. Raises web.HTTPRequestEntityTooLarge, web.HTTPRequestTimeout."""
    try:
        async with asyncio.timeout(request.app[SETTINGS].request_timeout):
            return await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout(text="the body did not arrive in time") from None


async def write(request: web.Request, response: web.StreamResponse, data: bytes) -> None:
    """Send a piece of a stream. Raises ConnectionResetError for a client that is gone or does not read."""
    try:
        async with asyncio.timeout(request.app[SETTINGS].request_timeout):
            await response.write(data)
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError("the client does not read") from None


@web.middleware
async def _answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ConnectionError:  # the client's own
        raise
    except (ContainerizerError, OSError) as error:
        status = status_of(error)
        if status >= 500:
            _log.warning("%s %s: %s", request.method, request.path, error)
        return web.Response(status=status, text=str(error))


@web.middleware
async def _bound_requests(request: web.Request, handler: Handler) -> web.StreamResponse:
    activity = request.app[ACTIVITY]
    if activity.requests >= request.app[SETTINGS].max_requests:
        return web.Response(status=503, text="too many requests at once", headers={"Retry-After": "1"})
    activity.requests += 1
    try:
        return await handler(request)
    finally:
        activity.requests -= 1


@web.middleware
async def _authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """By the header, the client's certificate, or the user at the other end of a Unix socket."""
    credentials = request.app.get(CREDENTIALS)
    header = request.headers.get("Authorization")
    principal = None
    if credentials is not None and header is not None:
        principal = await credentials.principal(header)
    elif header is None:
        principal = _of_connection(request)
    if principal is None and request.path not in OPEN:
        challenge = f'Basic realm="{REALM}"'
        return web.Response(status=401, text="who asks?", headers={"WWW-Authenticate": challenge})
    request[PRINCIPAL] = principal
    return await handler(request)


@web.middleware
async def _await_recovery(request: web.Request, handler: Handler) -> web.StreamResponse:
    if not request.app[ACTIVITY].ready and request.path not in OPEN:
        return web.Response(status=503, text="the agent has not finished recovery")
    return await handler(request)


def _of_connection(request: web.Request) -> str | None:
    transport = request.transport
    if transport is None:
        return None
    connection = transport.get_extra_info("socket")
    if connection is not None and connection.family == socket.AF_UNIX:
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        return f"uid:{_UCRED.unpack(credentials)[1]}"
    certificate = transport.get_extra_info("peercert") or {}
    names = dict(pair for part in certificate.get("subject", ()) for pair in part)
    return names.get("commonName")
