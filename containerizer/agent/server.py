"""The agent's HTTP application: who asks, what is refused before anything is done, and the old endpoints."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
import weakref
from collections.abc import Awaitable, Callable

from aiohttp import web

from containerizer.agent import endpoints
from containerizer.agent.credentials import Credentials, TooMany
from containerizer.agent.engine import Engine
from containerizer.agent.metrics import Metrics
from containerizer.agent.serving import (
    ACTIVITY,
    CREDENTIALS,
    ENGINE,
    FILES,
    METRICS,
    PRINCIPAL,
    SETTINGS,
    Activity,
    ServerSettings,
    authorize,
    authorize_list,
    permits,
)
from containerizer.api.context import Context
from containerizer.api.files import VirtualFiles
from containerizer.api.handle import Api, status_of
from launcher.errors import ContainerizerError

REALM = "containerizer"
OPEN = frozenset({"/health"})  # told to everybody, and during recovery

_principals: weakref.WeakKeyDictionary[asyncio.Transport, str | None] = weakref.WeakKeyDictionary()

_UCRED = struct.Struct("=iII")  # struct ucred of unix(7)
_log = logging.getLogger("containerizer.agent")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def application(
    engine: Engine, settings: ServerSettings | None = None, credentials: Credentials | None = None
) -> web.Application:
    """Ready to serve, once `app[ACTIVITY].ready`."""
    settings = settings or ServerSettings()
    app = web.Application(
        client_max_size=settings.max_request_size,
        middlewares=[_guard],  # one: each costs every request
    )
    app[ENGINE] = engine
    app[METRICS] = Metrics(engine)
    app[SETTINGS] = settings
    app[ACTIVITY] = Activity()
    if credentials is not None:
        app[CREDENTIALS] = credentials
    endpoints.add_to(app)
    if settings.ui:
        from containerizer.agent.ui import routes  # few ask

        routes.add_to(app)
    app[FILES] = VirtualFiles(engine.paths, log=settings.log_file)
    context = Context(
        engine,
        flags=settings.flags,
        metrics=app[METRICS].snapshot,
        files=app[FILES],
        heartbeat=settings.heartbeat,
        patience=settings.request_timeout,
        max_request=settings.max_request_size,
        hostname=settings.hostname,
    )
    app.on_cleanup.append(lambda _: context.checker.close())
    api = Api(context, authorize, permits, authorize_list)
    for prefix in ("", "/slave(1)"):  # the second is the predecessor's name of an agent
        app.router.add_post(f"{prefix}/api/v1", api.handle)
    return app


@web.middleware
async def _guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Whatever is asked: who asks is known, and not too much is asked at once. Errors become answers."""
    activity = request.app[ACTIVITY]
    try:
        refused = await _authenticated(request) or _refused(request, activity)
        if refused is not None:
            return refused
        activity.requests += 1
        try:
            return await handler(request)
        finally:
            activity.requests -= 1
    except ConnectionError:  # the client's own
        raise
    except (ContainerizerError, OSError) as error:
        status = status_of(error)
        if status >= 500:
            _log.warning("%s %s: %s", request.method, request.path, error)
        return web.Response(status=status, text=str(error))


async def _authenticated(request: web.Request) -> web.Response | None:
    """By the header, the client's certificate, or the user at the other end of a Unix socket."""
    credentials = request.app.get(CREDENTIALS)
    header = request.headers.get("Authorization")
    principal = None
    if credentials is not None and header is not None:
        try:
            principal = await credentials.principal(header)
        except TooMany as error:
            return _busy(str(error))
    elif header is None and request.transport is not None:
        principal = _of_connection(request.transport)
    if principal is None and request.path not in OPEN:
        challenge = f'Basic realm="{REALM}"'
        return web.Response(status=401, text="who asks?", headers={"WWW-Authenticate": challenge})
    request[PRINCIPAL] = principal
    return None


def _refused(request: web.Request, activity: Activity) -> web.Response | None:
    if activity.requests >= request.app[SETTINGS].max_requests:
        return _busy("too many requests at once")
    if not activity.ready and request.path not in OPEN:
        return web.Response(status=503, text="the agent has not finished recovery")
    return None


def _busy(why: str) -> web.Response:
    return web.Response(status=503, text=why, headers={"Retry-After": "1"})


def _of_connection(transport: asyncio.Transport) -> str | None:
    """The same for as long as it lasts: connect(2) and the handshake have told it."""
    if transport not in _principals:
        _principals[transport] = _principal_of(transport)
    return _principals[transport]


def _principal_of(transport: asyncio.Transport) -> str | None:
    connection = transport.get_extra_info("socket")
    if connection is not None and connection.family == socket.AF_UNIX:
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        return f"uid:{_UCRED.unpack(credentials)[1]}"
    certificate = transport.get_extra_info("peercert") or {}
    names = dict(pair for part in certificate.get("subject", ()) for pair in part)
    return names.get("commonName")
