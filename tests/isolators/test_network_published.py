"""Ports of the host: who has them, by IPv4 and by IPv6."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.program import sockets
from tests.support.netns import HostNetwork, host_network

pytestmark = pytest.mark.requires("root")

_TAKE = """
import sys
from isolators.network import published
from isolators.network.places import Places
from isolators.networks import NetworkRequest, PortMapping
state, protocol, host_ip, port, holder = sys.argv[1:]
asked = PortMapping(container_port=80, host_port=int(port), host_ip=host_ip, protocol=protocol)
try:
    taken = published.take(Places(state, state), holder, NetworkRequest(names=("a",), ports=(asked,)))
except published.PortTaken as error:
    sys.exit(f"{error}")
print(taken.ports[0].host_port)
"""


@pytest.fixture
def host() -> Iterator[HostNetwork]:
    with host_network() as made:
        yield made


def take(
    host: HostNetwork, state: Path, protocol: str, host_ip: str, port: int, *, holder: str = "web"
) -> subprocess.CompletedProcess[str]:
    words = (sys.executable, "-c", _TAKE, str(state), protocol, host_ip, str(port), holder)
    return subprocess.run([*host.within, *words], capture_output=True, text=True, timeout=60)


@contextlib.contextmanager
def bound(host: HostNetwork, kind: int, address: str, port: int) -> Iterator[None]:
    """Somebody of the host has the port, by one family only."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    namespace = os.open(f"/proc/{host.pid}/ns/net", os.O_RDONLY)
    try:
        made = sockets.made_in(namespace, family, kind)
    finally:
        os.close(namespace)
    with made:
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind((address, port))
        if kind == socket.SOCK_STREAM:
            made.listen()
        yield


@pytest.mark.parametrize(("protocol", "kind"), [("tcp", socket.SOCK_STREAM), ("udp", socket.SOCK_DGRAM)])
@pytest.mark.parametrize("address", ["::", "::1", "0.0.0.0", "127.0.0.2"])
def test_a_port_is_the_hosts_by_either_family(
    host: HostNetwork, tmp_path: Path, protocol: str, kind: int, address: str
) -> None:
    with bound(host, kind, address, 8080):
        refused = take(host, tmp_path, protocol, "", 8080)
        who = f"{Path('/proc/self/comm').read_text().strip()} (process {os.getpid()})"
        assert refused.stderr.startswith(f"port 8080/{protocol} of the host is taken by {who}; ")
        other = "127.0.0.1" if ":" in address else "::1"
        assert take(host, tmp_path, protocol, other, 8080).stdout == "8080\n"


@pytest.mark.parametrize("address", ["0.0.0.0", "::"])
def test_all_addresses_of_one_family_are_those_of_that_family(
    host: HostNetwork, tmp_path: Path, address: str
) -> None:
    mine, others = ("127.0.0.1", "::1") if address == "0.0.0.0" else ("::1", "127.0.0.1")
    assert take(host, tmp_path, "tcp", address, 8080).stdout == "8080\n"
    assert take(host, tmp_path, "tcp", others, 8080, holder="other").stdout == "8080\n"
    for address_ in (mine, ""):
        refused = take(host, tmp_path, "tcp", address_, 8080, holder="third")
        assert refused.stderr.startswith("port 8080/tcp is published by ")


def test_one_that_is_chosen_is_free_by_both(host: HostNetwork, tmp_path: Path) -> None:
    host.run("sh", "-c", "echo 8080 8089 > /proc/sys/net/ipv4/ip_local_port_range")
    with contextlib.ExitStack() as stack:
        for port in range(8080, 8089):
            stack.enter_context(bound(host, socket.SOCK_STREAM, "::1" if port % 2 else "127.0.0.1", port))
        assert take(host, tmp_path, "tcp", "", 0).stdout == "8089\n"


def test_a_host_without_ipv6_has_ports(host: HostNetwork, tmp_path: Path) -> None:
    for name in ("all", "default", "lo"):
        host.run("sh", "-c", f"echo 1 > /proc/sys/net/ipv6/conf/{name}/disable_ipv6")
    assert take(host, tmp_path, "tcp", "", 8080).stdout == "8080\n"
