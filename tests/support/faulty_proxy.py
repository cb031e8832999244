"""A reverse proxy that makes a real registry fail in the ways that networks and registries do.

with FaultyProxy.start(registry.host) as proxy:
    proxy.fault("/blobs/", Fault(cut_after=1000), times=2)
    Provisioner(root).pull(f"{proxy.host}/image")
    proxy.requests          # what was asked, faults included

A fault is used up by requests whose path contains its text; what has none passes through.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import http.server
import socket
import struct
import threading
from collections.abc import Iterator, Mapping

from tests.support.authority import Certificate
from tests.support.serving import serving

_CHUNK = 64 << 10
_DRIP = 0.05  # seconds between two bytes


@dataclasses.dataclass(frozen=True)
class Fault:
    """What happens to one request; several may apply at once."""

    status: int | None = None  # instead of the registry's answer
    body: bytes = b""
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)  # added to the answer, or instead
    reset: bool = False  # no answer, but a TCP reset
    cut_after: int | None = None  # bytes of the body, then the connection ends
    stall_after: int | None = None  # bytes of the body, then nothing until `FaultyProxy.release`
    drip_after: int | None = None  # bytes of the body, then a byte now and then until `FaultyProxy.release`
    length: int | None = None  # Content-Length, whatever the body's is
    ignore_range: bool = False  # the registry is asked for all of it


@dataclasses.dataclass
class FaultyProxy:
    """Requests are answered as the plan says, in the order in which faults were added."""

    upstream: str
    host: str = ""
    requests: list[tuple[str, str, Mapping[str, str]]] = dataclasses.field(default_factory=list)
    stalled: threading.Semaphore = dataclasses.field(default_factory=lambda: threading.Semaphore(0))
    _plan: list[tuple[str, Fault]] = dataclasses.field(default_factory=list)
    _released: threading.Event = dataclasses.field(default_factory=threading.Event)
    _lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)

    @classmethod
    @contextlib.contextmanager
    def start(cls, upstream: str, certificate: Certificate | None = None) -> Iterator[FaultyProxy]:
        """`certificate`: serve in TLS."""
        proxy = cls(upstream)

        class Handler(_Handler):
            plan = proxy

        with serving(Handler, certificate) as proxy.host:
            try:
                yield proxy
            finally:
                proxy.release()

    def fault(self, path: str, fault: Fault, times: int = 1) -> None:
        """Let the next so many requests whose path contains the text fail like this."""
        with self._lock:
            self._plan += [(path, fault)] * times

    def release(self) -> None:
        """Let connections that stall go on."""
        self._released.set()

    def asked(self, path: str, method: str | None = None) -> list[Mapping[str, str]]:
        """The headers of the requests whose path contains the text."""
        return [headers for verb, at, headers in self.requests if path in at and method in (None, verb)]

    def take(self, method: str, path: str, headers: Mapping[str, str]) -> Fault:
        with self._lock:
            self.requests.append((method, path, headers))
            for item in self._plan:
                if item[0] in path:
                    self._plan.remove(item)
                    return item[1]
        return Fault()

    def drips(self) -> bool:
        """In the thread of a connection: wait a moment, and say whether to send another byte."""
        self.stalled.release()
        return not self._released.wait(_DRIP)

    def stall(self) -> None:
        """In the thread of a connection: say that it stands still, and stand still."""
        self.stalled.release()
        self._released.wait(60)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    plan: FaultyProxy

    def do_GET(self) -> None:
        fault = self.plan.take(self.command, self.path, dict(self.headers.items()))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            if fault.reset:
                self._reset()
            elif fault.status is not None:
                self._send(fault.status, {"Content-Length": str(len(fault.body)), **fault.headers})
                self.wfile.write(fault.body)
            else:
                self._pass_on(fault)

    do_HEAD = do_GET  # noqa: N815 - the name that http.server looks for

    def _pass_on(self, fault: Fault) -> None:
        headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection")}
        if fault.ignore_range:
            headers.pop("Range", None)
        upstream = http.client.HTTPConnection(self.plan.upstream, timeout=60)
        with contextlib.closing(upstream):
            upstream.request(self.command, self.path, headers={**headers, "Host": self.plan.host})
            answer = upstream.getresponse()
            sent = {k: v for k, v in answer.getheaders() if k.lower() not in ("connection", "date")}
            if fault.length is not None:
                sent["Content-Length"] = str(fault.length)
            self._send(answer.status, {**sent, **fault.headers})
            self._body(answer, fault)

    def _body(self, answer: http.client.HTTPResponse, fault: Fault) -> None:
        left = next(
            (n for n in (fault.stall_after, fault.drip_after, fault.cut_after) if n is not None), None
        )
        while chunk := answer.read(_CHUNK if left is None else min(left, _CHUNK)):
            self.wfile.write(chunk)
            left = None if left is None else left - len(chunk)
        if left is not None:
            self.wfile.flush()
            self.close_connection = True
            if fault.stall_after is not None:
                self.plan.stall()
            while fault.drip_after is not None and self.plan.drips():
                self.wfile.write(answer.read(1))
                self.wfile.flush()
        if fault.length is not None:
            self.close_connection = True

    def _send(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _reset(self) -> None:
        """With SO_LINGER of zero close(2) sends RST; socket(7)."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        pass
