"""What the handlers of the agent's HTTP application find in it, and what each of them does first.

engine = request.app[ENGINE]
principal = request[PRINCIPAL]          who asks; None where nobody has to say
authorize(request, "LAUNCH_CONTAINER", container_id)     raises web.HTTPForbidden
await write(request, response, data)    to a stream; a client that does not read is dropped
"""

from __future__ import annotations

import logging
import os
import time

from aiohttp import web

from containerizer.agent.acls import Acls
from containerizer.agent.credentials import Credentials
from containerizer.agent.engine import Engine
from containerizer.agent.metrics import Metrics
from containerizer.api.files import VirtualFiles
from containerizer.api.slow_clients import bounded
from launcher.container_id import ContainerId
from launcher.data import Data, field

PRINCIPAL = "principal"

_log = logging.getLogger("containerizer.agent")


class ServerSettings(Data, kw_only=True):
    """Sizes are bytes, times are seconds."""

    acls: Acls = Acls()
    max_request_size: int = 4 << 20
    max_requests: int = 1000  # at once, waits and streams among them
    request_timeout: float = 60.0
    heartbeat: float = 30.0  # between signs of life in streams
    hostname: str = field(default_factory=lambda: os.uname().nodename)
    ui: bool = False  # serve the page for people
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


def authorize(request: web.Request, call: str, container: ContainerId | str | None = None) -> None:
    """Raises web.HTTPForbidden if the principal may not make this call about this container."""
    principal = request[PRINCIPAL]
    if not permits(request, call, container):
        _refuse(principal, call)


def authorize_list(request: web.Request, call: str) -> None:
    """The same for a list of containers: there may be one that the principal may know of, by `permits`."""
    principal = request[PRINCIPAL]
    if not request.app[SETTINGS].acls.permits_some(principal, call):
        _refuse(principal, call)


def permits(request: web.Request, call: str, container: ContainerId | str | None = None) -> bool:
    """Whether the principal may; for lists, from which what one may not see is left out."""
    subject = None if container is None else str(container)
    return request.app[SETTINGS].acls.permits(request[PRINCIPAL], call, subject)


def _refuse(principal: str | None, call: str) -> None:
    _log.warning("refused %s of %s", call, principal)
    raise web.HTTPForbidden(text=f"{principal or 'nobody'} may not {call}")


async def write(request: web.Request, response: web.StreamResponse, data: bytes) -> None:
    """Send a piece of a stream. Raises ConnectionResetError for a client that is gone or does not read."""
    async with bounded(request, request.app[SETTINGS].request_timeout):
        await response.write(data)
