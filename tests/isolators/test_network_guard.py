"""What a container can make its neighbours in a network hear, by frames that it writes itself."""

from __future__ import annotations

import ipaddress
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from isolators.network.bridge import guard
from tests.isolators.test_network_bridge import call
from tests.support.netns import HostNetwork, host_network

pytestmark = pytest.mark.requires("root", "nftables")

MAC, OTHER_MAC, EVERYBODY = bytes.fromhex("02430a630002"), bytes.fromhex("02430a630003"), b"\xff" * 6
OWN, OTHER, NOBODY = (ipaddress.ip_address(each).packed for each in ("10.99.0.2", "10.99.0.3", "0.0.0.0"))
OWN6, OTHER6, ALL6, NONE6 = (
    ipaddress.ip_address(each).packed for each in ("fd00:99::2", "fd00:99::3", "ff02::1", "::")
)
LINK6, OTHER_LINK6 = guard.link_local(MAC), guard.link_local(OTHER_MAC)

ICMPV6, UDP, HOP_BY_HOP, ROUTING, OPTIONS = 58, 17, 0, 43, 60
ADVERTISES_ROUTER, SOLICITS, ADVERTISES, REDIRECTS, REPORT = 134, 135, 136, 137, 143

# Sends frames, given as hexadecimal numbers, one after the other on one CPU, so that none overtakes another.
SEND = """
import os, socket, sys
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sending:
    sending.bind(("eth0", 0))
    for frame in sys.argv[1:]:
        sending.send(bytes.fromhex(frame))
"""
# Prints all that comes until a frame that is this.
HEAR = """
import socket, sys
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as hearing:
    hearing.bind(("eth0", 3))
    print(flush=True)
    while (heard := hearing.recv(4096).hex()) != sys.argv[1]:
        print(heard)
"""


def ethernet(kind: int, payload: bytes, source: bytes = MAC) -> bytes:
    return EVERYBODY + source + struct.pack(">H", kind) + payload


def arp(hardware: bytes, address: bytes, operation: int = 1) -> bytes:
    return ethernet(
        0x0806, struct.pack(">HHBBH", 1, 0x0800, 6, 4, operation) + hardware + address + bytes(10)
    )


def ipv4(source: bytes, mac: bytes = MAC) -> bytes:
    addresses, fixed = source + b"\xff" * 4, (0x45, 0, 24, 0, 0, 64, UDP)
    words = struct.unpack(">10H", struct.pack(">BBHHHBBH", *fixed, 0) + addresses)
    header = struct.pack(">BBHHHBBH", *fixed, 0xFFFF - sum(words) % 0xFFFF)  # who filters on bridges looks
    return ethernet(0x0800, header + addresses + bytes(4), mac)


def ipv6(source: bytes, payload: bytes, following: int = UDP) -> bytes:
    header = struct.pack(">IHBB", 6 << 28, len(payload), following, 255) + source + ALL6
    return ethernet(0x86DD, header + payload)


def icmpv6(kind: int, target: bytes = bytes(16)) -> bytes:
    return struct.pack(">BBHI", kind, 0, 0, 0) + target


def behind(payload: bytes, words: int = 0) -> bytes:
    """A header of options, so many times 8 bytes longer than the shortest, before this of ICMPv6."""
    return bytes([ICMPV6, words]) + bytes(6 + 8 * words) + payload


HONEST = {
    "asks by ARP": arp(MAC, OWN),
    "answers by ARP": arp(MAC, OWN, 2),
    "asks whether an address is free": arp(MAC, NOBODY),
    "IPv4": ipv4(OWN),
    "IPv6": ipv6(OWN6, b"data"),
    "IPv6 of the link": ipv6(LINK6, b"data"),
    "solicits a neighbour": ipv6(OWN6, icmpv6(SOLICITS, OTHER6), ICMPV6),
    "solicits its own": ipv6(NONE6, icmpv6(SOLICITS, OWN6), ICMPV6),
    "advertises itself": ipv6(OWN6, icmpv6(ADVERTISES, OWN6), ICMPV6),
    "advertises its link's address": ipv6(LINK6, icmpv6(ADVERTISES, LINK6), ICMPV6),
    "reports what it listens to": ipv6(LINK6, behind(icmpv6(REPORT)), HOP_BY_HOP),
}
LIES = {
    "another's hardware address": ipv4(OWN, OTHER_MAC),
    "another's IPv4": ipv4(OTHER),
    "nobody's IPv4": ipv4(NOBODY),
    "another's IPv6": ipv6(OTHER6, b"data"),
    "another's IPv6 of the link": ipv6(OTHER_LINK6, b"data"),
    "answers for another": arp(MAC, OTHER, 2),
    "answers by another": arp(OTHER_MAC, OWN, 2),
    "advertises another": ipv6(OWN6, icmpv6(ADVERTISES, OTHER6), ICMPV6),
    "advertises another's link": ipv6(OWN6, icmpv6(ADVERTISES, OTHER_LINK6), ICMPV6),
    "advertises another as nobody": ipv6(NONE6, icmpv6(ADVERTISES, OTHER6), ICMPV6),
    "advertises another behind options": ipv6(OWN6, behind(icmpv6(ADVERTISES, OTHER6), 2), HOP_BY_HOP),
    "is a router": ipv6(LINK6, icmpv6(ADVERTISES_ROUTER), ICMPV6),
    "is a router behind options": ipv6(LINK6, behind(icmpv6(ADVERTISES_ROUTER)), HOP_BY_HOP),
    "is a router behind two headers": ipv6(
        LINK6, bytes([OPTIONS, 0]) + bytes(6) + behind(icmpv6(ADVERTISES_ROUTER)), HOP_BY_HOP
    ),
    "is a router behind further options": ipv6(LINK6, behind(icmpv6(ADVERTISES_ROUTER)), OPTIONS),
    "is a router behind a route": ipv6(LINK6, behind(icmpv6(ADVERTISES_ROUTER)), ROUTING),
    "redirects": ipv6(LINK6, icmpv6(REDIRECTS, OTHER6), ICMPV6),
    "speaks of bridges": ethernet(0x88CC, bytes(40)),
}


@pytest.fixture
def host() -> Iterator[HostNetwork]:
    with host_network() as made:
        yield made


@pytest.fixture
def attacker() -> Iterator[HostNetwork]:
    with host_network() as made:
        yield made


@pytest.fixture
def victim() -> Iterator[HostNetwork]:
    with host_network() as made:
        yield made


@pytest.mark.parametrize("trusted", [False, True])
def test_a_container_speaks_for_itself_only(
    host: HostNetwork, attacker: HostNetwork, victim: HostNetwork, tmp_path: Path, *, trusted: bool
) -> None:
    told = {"runtimeConfig": {"netAdmin": True}} if trusted else {}
    for name, network in (("attacker", attacker), ("victim", victim)):
        added = call("ADD", host, network, tmp_path, name=name, **(told if name == "attacker" else {}))
        assert added.returncode == 0, added.stderr
    heard = told_to(victim, attacker, [*HONEST.values(), *LIES.values()])
    arrived = {name for name, frame in (HONEST | LIES).items() if frame.hex() in heard}
    assert arrived == (HONEST.keys() | LIES.keys() if trusted else HONEST.keys())
    for name, network in (("attacker", attacker), ("victim", victim)):
        assert call("DEL", host, network, tmp_path, name=name).returncode == 0


def told_to(hearing: HostNetwork, sending: HostNetwork, frames: list[bytes]) -> set[str]:
    last = arp(MAC, OWN, 3)
    command = [*hearing.within, sys.executable, "-c", HEAR, last.hex()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            process.stdout.readline()
            sending.run(sys.executable, "-c", SEND, *(frame.hex() for frame in (*frames, last)))
            heard, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    return set(heard.split())


def test_a_container_has_no_router_but_the_networks(
    host: HostNetwork, victim: HostNetwork, tmp_path: Path
) -> None:
    assert call("ADD", host, victim, tmp_path).returncode == 0
    assert victim.run("cat", "/proc/sys/net/ipv6/conf/eth0/accept_ra") == "0\n"
    assert victim.run("cat", "/proc/sys/net/ipv6/conf/default/accept_ra") == "1\n"
    assert call("DEL", host, victim, tmp_path).returncode == 0
