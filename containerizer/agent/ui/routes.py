"""The page's files, and what keeps the pages of other sites away from an agent.

A browser sends its credentials along with whatever asks for a URL, so another site's page could have its
visitor's browser make calls here. Browsers say which site asks (Fetch Metadata, Sec-Fetch-Site; for
WebSockets Origin, RFC 6455 section 10.2): those of others are refused.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import urlsplit

from aiohttp import web

from containerizer.agent.ui import terminals

_DIRECTORY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "static")
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

# Nothing but what is here, and nobody around it. xterm.js sets styles of elements, hence unsafe-inline.
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
        " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",  # asked again each time, and then told that nothing has changed
}

_OWN_SITE = ("same-origin", "none")  # none: a person typed the address

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def add_to(app: web.Application) -> None:
    """The page and its WebSockets."""
    app.middlewares.append(_refuse_other_sites)
    app.add_routes(
        [
            web.get("/", _redirect),
            web.get("/ui", _redirect),
            web.get("/ui/", _file),
            web.get("/ui/static/{name:[a-z./-]+}", _file),
            web.get("/ui/exec", terminals.execute),
            web.get("/ui/attach", terminals.attach),
        ]
    )


@web.middleware
async def _refuse_other_sites(request: web.Request, handler: Handler) -> web.StreamResponse:
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    foreign = site is not None and site not in _OWN_SITE
    if foreign or (origin is not None and urlsplit(origin).netloc != request.host):
        return web.Response(status=403, text="another site's page asks")
    return await handler(request)


async def _redirect(request: web.Request) -> web.Response:
    raise web.HTTPFound("/ui/")


async def _file(request: web.Request) -> web.Response:
    name = request.match_info.get("name", "index.html")
    content = _files().get(name)
    if content is None:
        raise web.HTTPNotFound
    tag = f'"{content[1]}"'
    headers = {**_HEADERS, "ETag": tag}
    if request.headers.get("If-None-Match") == tag:
        return web.Response(status=304, headers=headers)
    _, extension = os.path.splitext(name)
    return web.Response(body=content[0], headers={**headers, "Content-Type": _TYPES[extension]})


@functools.cache
def _files() -> Mapping[str, tuple[bytes, str]]:
    """(content, a tag that changes with it) by name: read once, so that no path of a request is opened."""
    import hashlib

    found = {}
    for directory, _, names in os.walk(_DIRECTORY):
        for name in names:
            path = os.path.join(directory, name)
            if os.path.splitext(name)[1] in _TYPES:
                with open(path, "rb") as file:
                    content = file.read()
                digest = hashlib.sha256(content).hexdigest()[:16]
                found[os.path.relpath(path, _DIRECTORY)] = (content, digest)
    return found
