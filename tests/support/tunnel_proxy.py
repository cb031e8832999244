"""An HTTP proxy that gives tunnels (CONNECT; RFC 9110 section 9.3.6), and passes plain requests on.

with TunnelProxy.start({"r.invalid:443": registry.host}) as proxy:
    HTTPS_PROXY=proxy.url
    proxy.tunnels           # which were asked for, in order

It resolves names by its table alone, so what reaches a name that no server knows went through it.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import http.client
import http.server
import select
import socket
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from tests.support.serving import serving

_CHUNK = 64 << 10
_TIMEOUT = 60  # seconds until something counts as hung


@dataclasses.dataclass
class TunnelProxy:
    """`user` is "name:password", if it wants to know; `refuses_tunnels`: as many do but to port 443."""

    places: Mapping[str, str]
    user: str = ""
    refuses_tunnels: bool = False
    host: str = ""
    tunnels: list[str] = dataclasses.field(default_factory=list)
    plain: list[str] = dataclasses.field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    @classmethod
    @contextlib.contextmanager
    def start(cls, places: Mapping[str, str], **options: object) -> Iterator[TunnelProxy]:
        """`places`: HOST:PORT as clients ask → HOST:PORT where it is."""
        proxy = cls(places, **options)  # type: ignore[arg-type]

        class Handler(_Handler):
            plan = proxy

        with serving(Handler) as proxy.host:
            yield proxy


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    plan: TunnelProxy

    def do_CONNECT(self) -> None:
        self.plan.tunnels.append(self.path)
        self.close_connection = True
        if self._is_known():
            if self.plan.refuses_tunnels:
                self.send_error(403)
                return
            with _connected(self.plan.places[self.path]) as upstream:
                self.send_response(200)
                self.end_headers()
                _relay(self.connection, upstream)

    def do_GET(self) -> None:
        self.plan.plain.append(self.path)
        if not self._is_known():
            return
        target = urlsplit(self.path)
        upstream = http.client.HTTPConnection(self.plan.places[target.netloc], timeout=_TIMEOUT)
        with contextlib.closing(upstream):
            headers = {k: v for k, v in self.headers.items() if k.lower() not in ("connection", "host")}
            upstream.request(self.command, target.path, headers={**headers, "Host": target.netloc})
            answer = upstream.getresponse()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.read())

    do_HEAD = do_GET  # noqa: N815 - the name that http.server looks for

    def _is_known(self) -> bool:
        secret = base64.b64encode(self.plan.user.encode()).decode()
        if not self.plan.user or self.headers.get("Proxy-Authorization") == f"Basic {secret}":
            return True
        self.send_response(407)
        self.send_header("Proxy-Authenticate", 'Basic realm="proxy"')
        self.send_header("Content-Length", "0")
        self.end_headers()
        return False

    def log_message(self, format: str, *args: object) -> None:
        pass


def _connected(place: str) -> socket.socket:
    host, _, port = place.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=_TIMEOUT)


def _relay(one: socket.socket, other: socket.socket) -> None:
    """Both ways, until either has ended."""
    poll = select.poll()
    for end in (one, other):
        poll.register(end, select.POLLIN)
    with contextlib.suppress(OSError):
        while ready := poll.poll(_TIMEOUT * 1000):
            for descriptor, _ in ready:
                source, target = (one, other) if descriptor == one.fileno() else (other, one)
                chunk = source.recv(_CHUNK)
                if not chunk:
                    return
                target.sendall(chunk)
