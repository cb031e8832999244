"""Transport: one HTTP request a connection, to an agent at a URL.

unix:///run/containerizer/agent.sock    a Unix socket; who may open it may do everything
https://host:5051                       TCP with TLS, and credentials
http://localhost:5051                   TCP without; no secret is sent there
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import socket
import ssl
import urllib.parse
from collections.abc import Iterable, Mapping

from containerizer.api.errors import EXIT_CODE_HEADER
from launcher.data import Data
from launcher.errors import (
    EXIT_CANNOT_EXECUTE,
    EXIT_CONTAINERIZER_FAILED,
    EXIT_NOT_FOUND,
    ContainerizerError,
    InvalidRequest,
)

PATH = "/api/v1"
PORT = 5051
_CONNECT = 10.0  # seconds until an agent counts as unreachable
_LONGEST_ERROR = 4096  # bytes of an error's text


class AgentUnreachable(ContainerizerError):
    """Nobody answers at the URL."""


class AgentFailed(ContainerizerError):
    """The agent has refused the call, or could not carry it out; `status` is HTTP's."""

    def __init__(self, status: int, text: str, exit_code: int = EXIT_CONTAINERIZER_FAILED) -> None:
        super().__init__(text.strip() or f"the agent answers with status {status}")
        self.status = status
        self.exit_code = exit_code  # of the command that made the call


class Credentials(Data, kw_only=True):
    """Who asks, and whom to believe. Paths are of PEM files."""

    token: str | None = None  # sent as a bearer token (RFC 6750)
    user: str | None = None  # with its password: Basic (RFC 7617)
    password: str = ""
    authority: str | None = None  # certificates of authorities; None: the system's
    certificate: str | None = None  # our own, for mutual TLS
    key: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        if self.token is not None:
            return {"Authorization": f"Bearer {self.token}"}
        if self.user is not None:
            pair = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
            return {"Authorization": f"Basic {pair}"}
        return {}


class Answer:
    """A response whose status is good; a context manager that closes it."""

    def __init__(self, response: http.client.HTTPResponse, peer: socket.socket) -> None:
        self._response = response
        self._peer = peer

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, limit: int | None = None) -> bytes:
        """All of it; or with a limit what there is, and nothing at the end. Raises AgentUnreachable."""
        try:
            return self._response.read() if limit is None else self._response.read1(limit)
        except (OSError, http.client.HTTPException) as error:
            raise AgentUnreachable(f"the agent has hung up: {error}") from error

    def hang_up(self) -> None:
        """Have who reads, in another thread, come to the end."""
        with contextlib.suppress(OSError):  # closed already, from either side
            self._peer.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Idempotent."""
        self._response.close()


class Transport:
    """Opens connections; keeps none."""

    def __init__(self, url: str, credentials: Credentials | None = None) -> None:
        """Raises InvalidRequest."""
        self._url = urllib.parse.urlsplit(url)
        self._credentials = credentials or Credentials()
        hint = "write unix:///PATH, https://HOST:PORT or http://HOST:PORT"
        if self._url.scheme not in ("unix", "http", "https") or "@" in self._url.netloc:
            raise InvalidRequest(f"invalid URL of an agent {url!r}", hint=hint)
        if not (self._url.path if self._url.scheme == "unix" else self._url.hostname):
            raise InvalidRequest(f"the URL of the agent {url!r} is incomplete", hint=hint)
        if self._url.scheme == "http" and self._credentials.headers:
            raise InvalidRequest("credentials are not sent without TLS", hint="write https://")

    def connect(self) -> http.client.HTTPConnection:
        """Raises AgentUnreachable."""
        connection = self._new()
        try:
            connection.connect()
        except (OSError, ValueError) as error:
            connection.close()
            hint = "is `containerizer agent` running there?"
            why = (getattr(error, "strerror", None) or str(error)).lower()
            raise AgentUnreachable(f"no agent at {self._url.geturl()}: {why}", hint=hint) from error
        assert connection.sock is not None
        connection.sock.settimeout(None)  # calls may take as long as containers live
        return connection

    def post(self, body: bytes | Iterable[bytes], headers: Mapping[str, str]) -> Answer:
        """What the agent answers if all is well. Raises AgentUnreachable, AgentFailed."""
        connection = self.connect()
        try:
            # An agent that refuses the beginning of a body, or in TLS 1.3 our certificate, does not wait
            # for the body's end.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError, ssl.SSLError):
                connection.request("POST", PATH, body, {**headers, **self.headers}, encode_chunked=True)
            return _answered(connection)
        except BaseException:
            connection.close()
            raise

    @property
    def headers(self) -> dict[str, str]:
        """Of every request."""
        return {**self._credentials.headers, "Connection": "close"}

    def _new(self) -> http.client.HTTPConnection:
        if self._url.scheme == "unix":
            return _UnixConnection(urllib.parse.unquote(self._url.path))
        assert self._url.hostname is not None
        port = self._url.port or PORT
        if self._url.scheme == "http":
            return http.client.HTTPConnection(self._url.hostname, port, timeout=_CONNECT)
        context = self._context()
        return http.client.HTTPSConnection(self._url.hostname, port, timeout=_CONNECT, context=context)

    def _context(self) -> ssl.SSLContext:
        ours = self._credentials
        try:
            context = ssl.create_default_context(cafile=ours.authority)
            if ours.certificate is not None:
                context.load_cert_chain(ours.certificate, ours.key)
        except OSError as error:
            raise InvalidRequest(f"cannot use the certificates for the agent: {error}") from error
        return context


def _answered(connection: http.client.HTTPConnection) -> Answer:
    """Read the head of the response. Raises AgentFailed, AgentUnreachable; then all is closed."""
    peer = connection.sock
    try:
        response = connection.getresponse()
        if response.status in (http.client.OK, http.client.ACCEPTED):
            return Answer(response, peer)
        with response:
            text = response.read(_LONGEST_ERROR).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        raise AgentUnreachable(f"the agent has hung up: {error}") from error
    connection.close()
    raise AgentFailed(response.status, text, _exit_code(response.getheader(EXIT_CODE_HEADER)))


def _exit_code(text: str | None) -> int:
    known = text in (str(EXIT_CANNOT_EXECUTE), str(EXIT_NOT_FOUND))
    return int(text) if known and text else EXIT_CONTAINERIZER_FAILED


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_CONNECT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
