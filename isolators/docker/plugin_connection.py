"""One HTTP request to a plug-in, on a connection of its own, with an end in time whatever it does."""

from __future__ import annotations

import http.client
import io
import json
import socket
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from isolators.docker.plugins import Endpoint
from launcher.data import Data

_TYPE = "application/vnd.docker.plugins.v1.2+json"
_HOST = "plugin.localhost"  # of a Unix socket, which has none
_LARGEST = 4 << 20  # bytes of an answer
_PORTS = {"http": 80, "https": 443, "tcp": 80}

Broken = http.client.HTTPException


class Answer(Data):
    """What came back."""

    status: int
    body: bytes


def post(endpoint: Endpoint, method: str, body: Mapping[str, Any] | None, timeout: float) -> Answer:
    """Raises TimeoutError, and OSError or Broken where there is no answer."""
    deadline = time.monotonic() + timeout
    url = urlsplit(endpoint.address)
    with _connect(endpoint, timeout) as made:
        connection = http.client.HTTPConnection(url.netloc or _HOST)
        connection.sock = _Timed(made, deadline)
        content = b"" if body is None else json.dumps(body).encode()
        headers = {"Accept": _TYPE, "Content-Type": _TYPE, "Connection": "close"}
        path = f"{url.path.rstrip('/')}/{method}" if url.scheme != "unix" else f"/{method}"
        connection.request("POST", path, content, headers)
        response = connection.getresponse()
        answer = response.read(_LARGEST + 1)
        if len(answer) > _LARGEST:
            raise Broken(f"it answers more than {_LARGEST} bytes")
        return Answer(response.status, answer)


def _connect(endpoint: Endpoint, timeout: float) -> socket.socket:
    url = urlsplit(endpoint.address)
    if url.scheme == "unix":
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            made.settimeout(timeout)
            made.connect(url.path or f"/{url.netloc}")
        except BaseException:
            made.close()
            raise
        return made
    if url.scheme not in _PORTS or not url.hostname:
        raise Broken(f"its address {endpoint.address!r} is none of unix, tcp, http or https")
    made = socket.create_connection((url.hostname, url.port or _PORTS[url.scheme]), timeout)
    if url.scheme == "https" or endpoint.tls is not None:
        return _in_tls(made, url.hostname, endpoint.tls or {})
    return made


def _in_tls(connection: socket.socket, host: str, asked: Mapping[str, Any]) -> socket.socket:
    import ssl

    try:
        context = ssl.create_default_context(cafile=asked.get("CAFile") or None)
        if asked.get("InsecureSkipVerify"):
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if asked.get("CertFile"):
            context.load_cert_chain(asked["CertFile"], asked.get("KeyFile") or None)
        return context.wrap_socket(connection, server_hostname=host)
    except BaseException:
        connection.close()
        raise


class _Timed:
    """A socket as http.client needs one, which has no more time than until the deadline, for all together."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline

    def _limit(self) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)

    def sendall(self, data: bytes) -> None:
        self._limit()
        self._connection.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Received(self))

    def recv_into(self, buffer: Any) -> int:
        self._limit()
        return self._connection.recv_into(buffer)

    def close(self) -> None:
        """Nothing: http.client closes it before an answer is read that is the connection's last."""


class _Received(io.RawIOBase):
    def __init__(self, connection: _Timed) -> None:
        self._timed = connection

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._timed.recv_into(buffer)
