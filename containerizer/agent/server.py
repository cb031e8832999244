"""The agent's HTTP server: a Unix socket, and TCP where it is asked for.

Other packages add routes to the application and find the engine there:

    engine = request.app[ENGINE]
    principal = request[PRINCIPAL]          who asks; None where nobody has to say
    authorize(request, "LAUNCH_CONTAINER")  raises web.HTTPForbidden
"""

from __future__ import annotations

from aiohttp import web

from containerizer.agent.engine import Engine

ENGINE = web.AppKey("engine", Engine)
PRINCIPAL = "principal"


def application(engine: Engine) -> web.Application:
    """The routes that are not of the v1 API."""
    app = web.Application()
    app[ENGINE] = engine
    app.add_routes([web.get("/health", _health)])
    return app


def authorize(request: web.Request, action: str) -> None:
    """Raises web.HTTPForbidden if the principal may not do this; actions are named as calls are."""


async def _health(request: web.Request) -> web.Response:
    return web.Response()
