"""Line: all connections of one pull, to be hung up at once when its user gives up.

A thread that waits in recv(2) or connect(2) hears of nothing but its socket. So each socket is
known here by a duplicate of its descriptor, made before it connects: shutdown(2) on that wakes
whoever waits, during the TLS handshake too, when ssl has taken the socket itself away.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any

import urllib3
import urllib3.connection
import urllib3.connectionpool
import urllib3.exceptions

from provisioner.errors import Cancelled

_Option = tuple[int, int, int | bytes]


class Line:
    """Safe to use from several threads. Cutting is final."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taps: set[socket.socket] = set()
        self._cut = threading.Event()

    def cut(self) -> None:
        """Let all that waits, and all that begins to, raise an error soon; `check` says why."""
        with self._lock:
            self._cut.set()
            for tap in self._taps:
                with contextlib.suppress(OSError):  # not connected any more
                    tap.shutdown(socket.SHUT_RDWR)

    def check(self) -> None:
        """Raises Cancelled when the line was cut."""
        if self._cut.is_set():
            raise Cancelled

    def wait(self, seconds: float) -> None:
        """Sleep. Raises Cancelled as soon as the line is cut."""
        if self._cut.wait(seconds):
            raise Cancelled

    def connect(
        self, host: str, port: int, timeout: float, options: list[_Option]
    ) -> tuple[socket.socket, socket.socket]:
        """A connected socket and its tap. Raises OSError, Cancelled."""
        failure: OSError = OSError(f"{host} has no address")
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except UnicodeError as error:  # from the codec "idna": a part is empty, or too long
            raise socket.gaierror(socket.EAI_NONAME, "name or service not known") from error
        for family, kind, protocol, _, address in found:
            connection = socket.socket(family, kind, protocol)
            tap = self._tap(connection)
            try:
                for option in options:
                    connection.setsockopt(*option)
                connection.settimeout(timeout)
                connection.connect(address)
            except BaseException as error:
                self.drop(tap)
                connection.close()
                self.check()
                if not isinstance(error, OSError):
                    raise
                failure = error
            else:
                return connection, tap
        raise failure

    def drop(self, tap: socket.socket) -> None:
        """Forget a connection that its owner has closed."""
        with self._lock:
            self._taps.discard(tap)
            tap.close()

    def close(self) -> None:
        """Hang up: urllib3 closes idle connections only when nothing refers to their pool any more."""
        with self._lock:
            while self._taps:
                with self._taps.pop() as tap, contextlib.suppress(OSError):
                    tap.shutdown(socket.SHUT_RDWR)

    def _tap(self, connection: socket.socket) -> socket.socket:
        with self._lock:
            if self._cut.is_set():
                connection.close()
                raise Cancelled
            tap = connection.dup()
            self._taps.add(tap)
            return tap


def pool_classes(line: Line) -> dict[str, type[urllib3.HTTPConnectionPool]]:
    """urllib3's connection pools by scheme, with connections that are on the line."""

    class Tapped(urllib3.connection.HTTPConnection):
        _tap: socket.socket | None = None
        _answering = False

        def _new_conn(self) -> socket.socket:
            self._drop()
            options = [(level, name, value) for level, name, value in self.socket_options or ()]
            timeout = float(self.timeout or 0) or 60.0
            host = self._dns_host.strip("[]")
            try:
                connection, self._tap = line.connect(host, self.port or self.default_port, timeout, options)
            except TimeoutError as error:  # by its own name, since it was not for an answer that it waited
                raise urllib3.exceptions.ConnectTimeoutError(self, f"{host} timed out") from error
            return connection

        def getresponse(self) -> Any:
            # http.client closes the connection here when the answer is the last on it, while the
            # answer, which has the socket still, is yet to be read.
            self._answering = True
            try:
                return super().getresponse()
            finally:
                self._answering = False

        def close(self) -> None:
            super().close()
            if not self._answering:
                self._drop()

        def _drop(self) -> None:
            if self._tap is not None:
                line.drop(self._tap)
                self._tap = None

    class TappedTls(Tapped, urllib3.connection.HTTPSConnection):
        pass

    class Plain(urllib3.HTTPConnectionPool):
        ConnectionCls = Tapped

    class Tls(urllib3.HTTPSConnectionPool):
        ConnectionCls = TappedTls

    return {"http": Plain, "https": Tls}
