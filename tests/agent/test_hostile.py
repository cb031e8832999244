"""Clients who mean harm: what they send is refused in a line, and holds up nobody else."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol

from containerizer.agent.credentials import Credentials, TooMany, hash_secret
from containerizer.api import body, media
from containerizer.api.errors import TooLarge
from containerizer.api.proto.agent_pb2 import Call
from tests.agent import process
from tests.agent.process import AgentProcess, started
from tests.agent.test_server import free_port
from tests.support.authority import Authority

_CALL = b'{"type":"GET_HEALTH"}'
_JSON = b"Content-Type: application/json\r\n"
_SIZED = b"Content-Length: %d\r\n" % len(_CALL)
_CHUNKED = b"Transfer-Encoding: chunked\r\n"


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentProcess]:
    directory = tmp_path_factory.mktemp("agent")
    credentials = {"credentials": [{"principal": "ops", "secret": hash_secret("s")}]}
    (directory / "credentials").write_text(json.dumps(credentials))
    flags = f"--http-credentials={directory}/credentials", "--logging-level=DEBUG"
    with started(directory / "root", directory / "state", *flags) as agent:
        yield agent
        assert "Traceback" not in agent.stop()


def _connected(agent: AgentProcess) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(process.TIMEOUT)
    client.connect(str(agent.socket))
    return client


def _status(agent: AgentProcess, request: bytes) -> int:
    with _connected(agent) as client:
        client.sendall(request)
        return int(client.recv(1 << 16).split()[1])


def _post(headers: bytes, content: bytes) -> bytes:
    return b"POST /api/v1 HTTP/1.1\r\nHost: a\r\n" + headers + b"\r\n" + content


def _get(target: bytes, headers: bytes = b"") -> bytes:
    return b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n" + headers + b"\r\n"


_REFUSED: tuple[tuple[str, bytes, int], ...] = (
    ("two lengths", _post(_JSON + _SIZED + b"Content-Length: 5\r\n", _CALL), 400),
    ("length and chunks", _post(_JSON + _SIZED + _CHUNKED, b"15\r\n" + _CALL + b"\r\n0\r\n\r\n"), 400),
    ("signed length", _post(_JSON + b"Content-Length: +21\r\n", _CALL), 400),
    ("blank in a name", _post(_JSON + b"Transfer-Encoding : chunked\r\n", _CALL), 400),
    ("unknown coding", _post(_JSON + b"Transfer-Encoding: xchunked\r\n", _CALL), 400),
    ("broken chunk", _post(_JSON + _CHUNKED, b"-15\r\n" + _CALL), 400),
    ("no gzip", _post(_JSON + _SIZED + b"Content-Encoding: gzip\r\n", _CALL), 400),
    ("types", _post(_JSON + b"Content-Type: application/x-protobuf\r\n" + _SIZED, _CALL), 400),
    ("bare newlines", b"POST /api/v1 HTTP/1.1\nHost: a\n\n", 400),
    ("folded header", _get(b"/health", b"X: a\r\n b\r\n"), 400),
    ("tunnel", b"CONNECT host:80 HTTP/1.1\r\nHost: host:80\r\n\r\n", 404),
    ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    ("method", _post(_SIZED, _CALL).replace(b"/api/v1", b"/health"), 405),
    ("override", _get(b"/api/v1", b"X-HTTP-Method-Override: POST\r\n"), 405),
    ("expectation", _post(_JSON + _SIZED + b"Expect: teapot\r\n", _CALL), 417),
    ("offset", _get(b"/files/read?path=/slave/log&offset=" + b"9" * 5000), 400),
    ("no path", _get(b"/files/read?path=%00"), 400),
    ("nobody's path", _get(b"/files/read?path=/containers/%ff%ed%a0%80/x"), 404),
    ("secret of bytes", _get(b"/state", b"Authorization: Bearer ops:\xff\r\n"), 401),
    ("secret in base64", _get(b"/state", b"Authorization: Basic \xff\xfe\r\n"), 401),
    ("deep JSON", _post(_JSON + b"Content-Length: 100000\r\n", b"[" * 100_000), 400),
    ("long number", _post(_JSON + b"Content-Length: 100009\r\n", b'{"type":' + b"9" * 100_000 + b"}"), 400),
)


@pytest.mark.requires("root")
@pytest.mark.parametrize(
    ("request_", "status"), [each[1:] for each in _REFUSED], ids=[e[0] for e in _REFUSED]
)
def test_what_no_client_of_ours_sends_is_refused(agent: AgentProcess, request_: bytes, status: int) -> None:
    assert _status(agent, request_) == status


@pytest.mark.requires("root")
@pytest.mark.parametrize("upgrade", [b"websocket", b"h2c", b"TLS/1.0", b"\xff"])
def test_who_asks_for_another_protocol_has_this_one(agent: AgentProcess, upgrade: bytes) -> None:
    asked = b"Connection: Upgrade\r\nUpgrade: " + upgrade + b"\r\n"
    assert _status(agent, _get(b"/health", asked)) == 200
    assert _status(agent, _post(_JSON + _SIZED + asked, _CALL)) == 200


@pytest.mark.requires("root")
def test_more_is_unpacked_of_no_body_than_may_be_sent(agent: AgentProcess) -> None:
    bomb = zlib.compress(b" " * (64 << 20))
    headers = _JSON + b"Content-Encoding: deflate\r\nContent-Length: %d\r\n" % len(bomb)
    assert _status(agent, _post(headers, bomb)) == 413


@pytest.mark.requires("root")
def test_a_client_that_asks_on_and_reads_nothing_is_heard_no_more(agent: AgentProcess) -> None:
    """It has to wait, at some time, for its requests are in nobody's memory."""
    with _connected(agent) as client:
        client.setblocking(False)
        requests = _get(b"/health") * 1000
        with pytest.raises(BlockingIOError):
            for _ in range(10_000):  # 400 MB
                client.send(requests)
        assert agent.request("GET", "/health")[0] == 200


@pytest.mark.requires("root", "openssl")
def test_connections_by_tcp_are_bounded(tmp_path: Path) -> None:
    """Also those that never say anything; the Unix socket stays open."""
    authority = Authority.make(tmp_path / "ca")
    server, port = authority.issue("agent"), free_port()
    flags = [
        f"--listen=unix:{tmp_path}/state/agent.sock,tcp:127.0.0.1:{port}",
        f"--tls-cert-file={server.certificate}",
        f"--tls-key-file={server.key}",
        f"--tls-ca-file={authority.certificate}",
        "--max-connections=3",
    ]
    context = ssl.create_default_context(cafile=str(authority.certificate))
    ops = authority.issue("ops", client=True)
    context.load_cert_chain(ops.certificate, ops.key)

    def connect() -> socket.socket:
        return socket.create_connection(("127.0.0.1", port), timeout=process.TIMEOUT)

    def health() -> bytes:
        with connect() as plain, context.wrap_socket(plain, server_hostname="127.0.0.1") as client:
            client.sendall(_get(b"/health", b"Connection: close\r\n"))
            return client.recv(1024).partition(b"\r\n")[0]

    with started(tmp_path / "root", tmp_path / "state", *flags) as agent:
        assert b" 200 " in health()
        with contextlib.ExitStack() as held:
            silent = [held.enter_context(connect()) for _ in range(3)]
            refused = held.enter_context(connect())
            with contextlib.suppress(ConnectionResetError):
                assert refused.recv(1) == b""
            assert agent.request("GET", "/health")[0] == 200
        assert silent
        while b" 200 " not in _quietly(health):  # when it has seen them go
            pass
        assert "3 connections: further ones by TCP are closed" in agent.stop()


def _quietly(work: Any) -> bytes:
    try:
        return bytes(work())
    except (ConnectionError, ssl.SSLError):
        return b""


def test_who_guesses_secrets_holds_up_nobody_who_is_known() -> None:
    async def ask() -> None:
        credentials = Credentials({"ops": hash_secret("s")})
        assert await credentials.principal("Bearer ops:s") == "ops"
        guesses = [asyncio.ensure_future(credentials.principal(f"Bearer ops:{n}")) for n in range(200)]
        await asyncio.sleep(0)
        assert sum(each.done() for each in guesses) == 100
        assert await credentials.principal("Bearer ops:s") == "ops"
        for each in guesses:
            each.cancel()
        told = await asyncio.gather(*guesses, return_exceptions=True)
        assert sum(isinstance(each, TooMany) for each in told) == 100
        assert await credentials.principal("Bearer ops:no") is None, "and who comes later is heard again"

    asyncio.run(ask())


def _sent(*pieces: bytes) -> Any:
    loop = asyncio.get_running_loop()
    content = StreamReader(BaseProtocol(loop), len(b"".join(pieces)), loop=loop)
    for piece in pieces:
        content.feed_data(piece)
    content.feed_eof()
    return SimpleNamespace(content_length=None, content=content)


@pytest.mark.parametrize("size", [body.LARGE, body.LARGE + 1])
def test_a_large_body_is_decoded_beside_the_event_loop(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    threads = []

    def decode(data: bytes, media_type: str, kind: Any) -> Call:
        threads.append(threading.current_thread())
        assert len(data) == size
        return cast(Call, Call(type=Call.GET_HEALTH))

    monkeypatch.setattr(media, "decode", decode)

    async def read() -> None:
        sent = _sent(b"x" * (size - 1), b"x")
        call = await body.Bodies(1 << 20).one(sent, media.Body(media.JSON, False), 60.0)
        assert call.type == Call.GET_HEALTH

    asyncio.run(read())
    assert [each is threading.main_thread() for each in threads] == [size == body.LARGE]


def test_the_first_record_of_a_stream_is_small() -> None:
    """Before it nobody knows whether its sender may send anything."""

    async def read() -> None:
        calls = body.Bodies(1 << 20).stream(_sent(b"%d\n" % (body.LARGE + 1)), media.Body(media.JSON, True))
        with pytest.raises(TooLarge):
            await anext(calls)
        first, then = b"%d\n%b" % (len(_CALL), _CALL), _CALL + b" " * body.LARGE
        sent = _sent(first, b"%d\n%b" % (len(then), then))
        calls = body.Bodies(1 << 20).stream(sent, media.Body(media.JSON, True))
        assert [call.type async for call in calls] == [Call.GET_HEALTH, Call.GET_HEALTH]

    asyncio.run(read())
