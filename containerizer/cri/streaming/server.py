"""The streaming server: HTTP/1.1 up to the upgrade, then what the token stands for.

A URL is /exec/TOKEN, /attach/TOKEN or /portforward/TOKEN, by GET or POST. The token is all that says who
may: it is told to the kubelet only, is long, and is good once (streams.Tokens).
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import logging
from collections.abc import Iterable, Sequence
from urllib.parse import parse_qs, urlsplit

import h11

from containerizer.agent.listeners import CannotListen
from containerizer.cri import sessions
from containerizer.cri.sessions import Cri
from containerizer.cri.streaming import port_forward, spdy_command, websockets
from containerizer.cri.streaming.frames import SpdyError
from containerizer.cri.streaming.remote_command import carry
from containerizer.cri.streaming.spdy import Connection
from containerizer.cri.streaming.spdy_command import SpdyEnds
from containerizer.cri.streaming.tunnel import PREFIX, Tunnel
from containerizer.cri.streaming.websockets import Channels, Messages, WebSocketEnds
from containerizer.cri.streams import KINDS, Asked, AttachStream, ExecStream, PortForwardStream, Tokens
from launcher.data import Data
from launcher.errors import InvalidRequest

_HEAD_TIMEOUT = 10.0  # seconds for a request to arrive
_PATIENCE = 60.0  # seconds for a client to read
_MOST = 1000  # connections at once
_CHUNK = 16 << 10  # bytes read at once
_SPDY = "SPDY/3.1"
_TUNNELLED = tuple(PREFIX + each for each in port_forward.PROTOCOLS)
_KEY_SUFFIX = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3

_log = logging.getLogger("containerizer.agent")


class Refused(Exception):
    """The request is answered by this status and text."""

    def __init__(self, status: int, text: str, headers: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(text)
        self.status = status
        self.headers = headers


class _Request(Data):
    """The head of one."""

    target: str
    headers: Sequence[tuple[str, str]]  # names in lower case
    rest: bytes  # what came after it

    def all(self, name: str) -> list[str]:
        """The values of a header that has a list, however it is written."""
        values = (value for header, value in self.headers if header == name)
        return [word.strip() for value in values for word in value.split(",") if word.strip()]

    def first(self, name: str) -> str:
        return next(iter(self.all(name)), "")


class StreamingServer:
    """Serves the streams that `tokens` stand for, and tells them where."""

    def __init__(self, cri: Cri, tokens: Tokens) -> None:
        self._cri = cri
        self._tokens = tokens
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self, address: str) -> None:
        """At HOST:PORT; 0: a free one. Raises InvalidRequest, CannotListen."""
        host, colon, port = address.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not colon or not host or not (port.isascii() and port.isdecimal() and int(port) < 1 << 16):
            raise InvalidRequest(f"invalid address {address!r} for streams", hint="write HOST:PORT")
        try:
            self._server = await asyncio.start_server(self._connected, host, int(port), limit=_CHUNK)
        except OSError as error:
            raise CannotListen(f"cannot listen at {address}: {error.strerror}") from error
        bound = self._server.sockets[0].getsockname()
        shown = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
        self._tokens.base_url = f"http://{shown}:{bound[1]}"

    async def close(self) -> None:
        """Who is connected is cut off; attached containers go on, commands end."""
        self._tokens.base_url = ""
        if self._server is not None:
            self._server.close()
        for task in tuple(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._serve(reader, writer)
        except (ConnectionError, TimeoutError, SpdyError) as error:
            _log.info("a stream ended: %s", error)
        except asyncio.CancelledError:
            pass  # by `close`: nobody waits for this task but us
        finally:
            self._connections.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if len(self._connections) > _MOST:
                raise Refused(503, "too many streams at once")
            async with asyncio.timeout(_HEAD_TIMEOUT):
                request = await _read_head(reader)
            asked = self._asked(request)
            if request.first("upgrade").lower() == "websocket":
                await self._over_websocket(asked, request, reader, writer)
            elif _SPDY.lower() in (each.lower() for each in request.all("upgrade")):
                await self._over_spdy(asked, request, reader, writer)
            else:
                raise Refused(400, f"ask for an upgrade to {_SPDY} or websocket")
        except Refused as refused:
            writer.write(_answer(refused.status, refused.headers, str(refused).encode()))
            await writer.drain()

    def _asked(self, request: _Request) -> Asked:
        try:
            kind, _, token = urlsplit(request.target).path.strip("/").partition("/")
        except ValueError as error:  # brackets of no IPv6 address
            raise Refused(400, f"this is no URL: {error}") from error
        asked = self._tokens.take(token) if kind in KINDS.values() else None
        if asked is None or KINDS[type(asked)] != kind:
            raise Refused(404, "no such stream: a URL is good once, and for a minute")
        return asked

    async def _over_spdy(
        self,
        asked: Asked,
        request: _Request,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        forwards = isinstance(asked, PortForwardStream)
        known = port_forward.PROTOCOLS if forwards else spdy_command.PROTOCOLS
        protocol = _chosen(request.all("x-stream-protocol-version"), known)
        writer.write(_upgraded(_SPDY, ("X-Stream-Protocol-Version", protocol)))
        connection = Connection(reader, writer, request.rest, _PATIENCE)
        if isinstance(asked, PortForwardStream):
            await port_forward.over_spdy(self._cri, asked, connection)
            return
        ends = SpdyEnds(connection, asked, protocol)
        try:
            if await ends.opened():
                await carry(ends, self._opening(asked), tells_exit=isinstance(asked, ExecStream))
        finally:
            await ends.close()

    async def _over_websocket(
        self,
        asked: Asked,
        request: _Request,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        forwards = isinstance(asked, PortForwardStream)
        known = (*_TUNNELLED, *websockets.PORT_PROTOCOLS) if forwards else websockets.PROTOCOLS
        protocol = _chosen(request.all("sec-websocket-protocol"), known)
        key = request.first("sec-websocket-key")
        if request.first("sec-websocket-version") != "13" or not key:
            raise Refused(400, "version 13 of WebSocket is spoken here", [("Sec-WebSocket-Version", "13")])
        accepted = base64.b64encode(hashlib.sha1(key.encode() + _KEY_SUFFIX).digest()).decode()  # noqa: S324
        accept = ("Sec-WebSocket-Accept", accepted)
        writer.write(_upgraded("websocket", accept, ("Sec-WebSocket-Protocol", protocol)))
        messages = Messages(reader, writer, request.rest, _PATIENCE)
        channels = Channels(messages, protocol)
        if isinstance(asked, PortForwardStream) and protocol in _TUNNELLED:
            tunnel = Tunnel(messages)
            await port_forward.over_spdy(self._cri, asked, Connection(tunnel, tunnel, b"", _PATIENCE))
        elif isinstance(asked, PortForwardStream):
            await port_forward.over_websocket(self._cri, asked, channels, asked.ports or _ports_of(request))
        else:
            ends = WebSocketEnds(channels, asked)
            await carry(ends, self._opening(asked), tells_exit=isinstance(asked, ExecStream))

    async def _opening(self, asked: ExecStream | AttachStream) -> sessions.Session:
        if isinstance(asked, ExecStream):
            return await sessions.open_exec(self._cri, asked)
        return await sessions.open_attach(self._cri, asked)


async def _read_head(reader: asyncio.StreamReader) -> _Request:
    """Raises Refused, ConnectionError."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=_CHUNK)
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError as error:
            raise Refused(400, f"this is no HTTP: {error}") from error
        if isinstance(event, h11.Request):
            break
        data = await reader.read(_CHUNK)
        if not data:
            raise ConnectionError("the client went before it had asked")
        connection.receive_data(data)
    if event.method not in (b"GET", b"POST"):
        raise Refused(405, "GET or POST a stream", [("Allow", "GET, POST")])
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers]
    rest, _ = connection.trailing_data
    return _Request(event.target.decode("latin-1"), headers, bytes(rest))


def _chosen(asked: Sequence[str], known: Iterable[str]) -> str:
    """The first that the client names and we know; "" if it names none, as the oldest ones do."""
    if not asked:
        return ""
    known = tuple(known)
    found = next((each for each in asked if each in known), None)
    if found is None:
        accepted = [("X-Accepted-Stream-Protocol-Versions", ", ".join(known))]
        raise Refused(403, f"none of {', '.join(asked)} is spoken here", accepted)
    return found


def _ports_of(request: _Request) -> tuple[int, ...]:
    """Of a URL's query. Raises Refused."""
    texts = parse_qs(urlsplit(request.target).query).get("port", [])
    ports = tuple(
        int(text) for each in texts for text in each.split(",") if text.isdecimal() and text.isascii()
    )
    if not ports or not all(0 < port < 1 << 16 for port in ports):
        raise Refused(400, "name the ports: ?port=80")
    return ports


def _upgraded(to: str, *headers: tuple[str, str]) -> bytes:
    """Headers without a value are left out."""
    given = [header for header in headers if header[1]]
    return _answer(101, [("Connection", "Upgrade"), ("Upgrade", to), *given])


def _answer(status: int, headers: Sequence[tuple[str, str]], body: bytes = b"") -> bytes:
    reasons = {101: "Switching Protocols", 400: "Bad Request", 403: "Forbidden", 404: "Not Found"}
    lines = [
        f"HTTP/1.1 {status} {reasons.get(status, 'Refused')}",
        *(f"{name}: {value}" for name, value in headers),
    ]
    if status != 101:
        lines += [
            f"Content-Length: {len(body)}",
            "Content-Type: text/plain; charset=utf-8",
            "Connection: close",
        ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
