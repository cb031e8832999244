"""The name server of a network: whom it answers, and that nobody makes it stand still or end."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from launcher.program import sockets
from tests.isolators.test_network_bridge import call
from tests.isolators.test_network_dns import answers, query
from tests.support.netns import HostNetwork, host_network

pytestmark = pytest.mark.requires("root", "nftables")

SERVER = ("10.99.0.1", 53)
UPSTREAM = ("127.0.0.1", 53)
NOERROR, SERVFAIL, REFUSED = 0, 2, 5

UDP, TCP = socket.SOCK_DGRAM, socket.SOCK_STREAM

Add = Callable[[str], HostNetwork]


def made(network: HostNetwork, kind: int) -> socket.socket:
    """A socket there."""
    namespace = os.open(f"/proc/{network.pid}/ns/net", os.O_RDONLY)
    try:
        found = sockets.made_in(namespace, socket.AF_INET, kind)
    finally:
        os.close(namespace)
    found.settimeout(30.0)
    return found


@pytest.fixture
def host() -> Iterator[HostNetwork]:
    with host_network() as network:
        yield network


@pytest.fixture
def add(host: HostNetwork, tmp_path: Path) -> Iterator[Add]:
    """Adds a container by this name, whose names others than ours are asked of UPSTREAM."""
    told = {"dns": {"servers": [UPSTREAM[0]]}}
    with contextlib.ExitStack() as stack:
        added: list[tuple[str, HostNetwork]] = []

        def one(name: str) -> HostNetwork:
            network = stack.enter_context(host_network())
            config: dict[str, Any] = {"runtimeConfig": told | {"aliases": [name]}}
            done = call("ADD", host, network, tmp_path, name, dns=True, **config)
            assert done.returncode == 0, done.stderr
            added.append((name, network))
            return network

        yield one
        for name, network in added:
            assert call("DEL", host, network, tmp_path, name, dns=True).returncode == 0
        with open(tmp_path / "of" / "net" / "dns") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # the server's, which takes the network away and ends
        assert "ctz0" not in host.devices()


def framed(data: bytes) -> bytes:
    return struct.pack(">H", len(data)) + data


def asked(network: HostNetwork, name: str, kind: int = UDP) -> tuple[int, list[bytes]]:
    with made(network, kind) as client:
        client.connect(SERVER)
        client.sendall(query(name) if kind == UDP else framed(query(name)))
        return answers(client.recv(512) if kind == UDP else whole(client))


def whole(client: socket.socket) -> bytes:
    with client.makefile("rb") as file:
        (length,) = struct.unpack(">H", file.read(2))
        return file.read(length)


@contextlib.contextmanager
def upstream(host: HostNetwork, serve: Callable[[bytes], bytes]) -> Iterator[None]:
    """A name server that sends by TCP what `serve` makes of a question, and closes."""
    with made(host, TCP) as listener:
        listener.bind(UPSTREAM)
        listener.listen()

        def run() -> None:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                connection.sendall(serve(whole(connection)))

        thread = threading.Thread(target=run)
        thread.start()
        yield
        thread.join()


@pytest.mark.parametrize(
    ("beyond", "code"),
    [
        (b"x" * 70000, NOERROR),  # more than it has announced
        (None, SERVFAIL),  # less
    ],
)
def test_what_another_name_server_sends_is_cut_or_passed_over(
    host: HostNetwork, add: Add, beyond: bytes | None, code: int
) -> None:
    web = add("web")

    def serve(question: bytes) -> bytes:
        reply = framed(question[:2] + b"\x81\x80" + question[4:])
        return reply[:-1] if beyond is None else reply + beyond

    with upstream(host, serve):
        assert asked(web, "elsewhere.example", TCP) == (code, [])
    assert asked(web, "web") == (NOERROR, [bytes([10, 99, 0, 2])])


def test_nobody_waits_for_a_name_server_that_accepts_no_connection(host: HostNetwork, add: Add) -> None:
    web = add("web")
    with made(host, TCP) as full, made(host, TCP) as first, made(web, TCP) as waiting:
        full.bind(UPSTREAM)
        full.listen(0)
        first.connect(UPSTREAM)  # and now it has no room
        waiting.connect(SERVER)
        waiting.sendall(framed(query("elsewhere.example")))
        assert asked(web, "web")[0] == NOERROR
        waiting.setblocking(False)
        with pytest.raises(BlockingIOError):
            waiting.recv(1)


def test_one_client_leaves_room_for_others(host: HostNetwork, add: Add) -> None:
    greedy, other = add("greedy"), add("other")
    with made(host, UDP) as silent, made(greedy, UDP) as client, made(other, UDP) as patient:
        silent.bind(UPSTREAM)
        client.connect(SERVER)
        for _ in range(60):
            for _ in range(10):
                client.send(query("elsewhere.example"))
            assert asked(greedy, "other")[0] == NOERROR  # so those before have been read
        patient.connect(SERVER)
        patient.send(query("here.example"))
        while b"\4here" not in (got := silent.recvfrom(512))[0]:
            pass
        silent.sendto(got[0][:2] + b"\x81\x80" + got[0][4:], got[1])
        assert answers(patient.recv(512)) == (NOERROR, [])
        assert answers(client.recv(512))[0] == SERVFAIL


def test_who_is_not_in_the_network_is_refused(host: HostNetwork, add: Add) -> None:
    add("web")
    with host_network() as outside:
        link = ["ip", "link", "add", "uplink", "type", "veth", "peer", "name", "eth0", "netns"]
        host.run(*link, str(outside.pid))
        host.run("ip", "addr", "add", "192.0.2.1/24", "dev", "uplink")
        host.run("ip", "link", "set", "uplink", "up")
        outside.run("ip", "addr", "add", "192.0.2.2/24", "dev", "eth0")
        outside.run("ip", "link", "set", "eth0", "up")
        outside.run("ip", "route", "add", "10.99.0.0/24", "via", "192.0.2.1")
        assert asked(outside, "web") == (REFUSED, [])
        with made(outside, TCP) as client:
            client.connect(SERVER)
            assert client.recv(1) == b""
    assert asked(host, "web")[0] == NOERROR
