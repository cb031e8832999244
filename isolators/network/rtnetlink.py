"""Network devices, addresses and routes by rtnetlink(7): the few requests that a network of ours takes.

pyroute2 has them all, and takes 130 ms to import, longer than a whole launch may take; these are a dozen
structures, by rtnetlink(7), linux/if_link.h, linux/rtnetlink.h and linux/if_addr.h.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
import struct
from collections.abc import Iterator
from typing import Final

Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWADDR = 20
RTM_NEWROUTE = 24
RTM_NEWQDISC = 36

IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_MASTER, IFLA_LINKINFO, IFLA_STATS64 = 1, 3, 4, 10, 18, 23
IFLA_NET_NS_FD = 28
IFLA_INFO_KIND, IFLA_INFO_DATA, IFLA_INFO_SLAVE_KIND, IFLA_INFO_SLAVE_DATA = 1, 2, 4, 5
IFLA_BRPORT_MODE = 4
VETH_INFO_PEER = 1
IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST, IFA_FLAGS = 1, 2, 4, 8
IFA_F_NODAD = 0x02  # usable at once: nobody else has the address
RTA_OIF, RTA_GATEWAY = 4, 5
TCA_KIND, TCA_OPTIONS = 1, 2
TCMSG = struct.Struct("=BxxxiIII")  # family, index, handle, parent, info

_IFF_UP = 1
_NLM_F_REQUEST, _NLM_F_ACK, _NLM_F_DUMP = 0x1, 0x4, 0x300
_NLM_F_CREATE_NEW = 0x600  # NLM_F_CREATE | NLM_F_EXCL
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_NESTED = 0x8000  # NLA_F_NESTED
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_LINK = struct.Struct("=BxHiII")  # family, type, index, flags, change
_ADDRESS = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, index
_ROUTE = struct.Struct("=BBBBBBBBI")  # family, lengths, tos, table, protocol, scope, type, flags
_RT_TABLE_MAIN, _RTPROT_STATIC, _RT_SCOPE_UNIVERSE, _RTN_UNICAST = 254, 4, 0, 1
_STATS = struct.Struct("=8Q")  # of rtnl_link_stats64: packets, bytes, errors, dropped; each received, sent
_BUFFER: Final = 1 << 16


class Netlink:
    """A socket, and what it can ask; of the network namespace that the socket was made in."""

    def __init__(self, made: socket.socket | None = None) -> None:
        """Closes the socket in the end. Raises OSError."""
        self._socket = made or open_socket()
        self._sequence = 0

    def __enter__(self) -> Netlink:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def index(self, name: str) -> int | None:
        """Of the device of this name; None: there is none. Raises OSError."""
        found = self._link(name)
        return None if found is None else _LINK.unpack_from(found)[2]

    def hardware_address(self, name: str) -> bytes | None:
        """Of the device of this name; None: there is none. Raises OSError."""
        found = self._link(name)
        listed = dict(attributes(found[_LINK.size :])) if found else {}
        return listed.get(IFLA_ADDRESS)

    def traffic(self, name: str) -> tuple[int, ...] | None:
        """(packets, bytes, errors, dropped), of each those received before those sent. Raises OSError."""
        found = self._link(name)
        for kind, value in attributes(found[_LINK.size :]) if found else ():
            if kind == IFLA_STATS64:
                return _STATS.unpack_from(value)
        return None

    def add_bridge(self, name: str, mac: bytes, mtu: int | None) -> int:
        """Down; its index. Raises FileExistsError, OSError."""
        self._new_link(
            name,
            0,
            attribute(IFLA_IFNAME, _text(name)),
            attribute(IFLA_ADDRESS, mac),  # or else it is the lowest of its members', and changes with them
            attribute(IFLA_MTU, struct.pack("=I", mtu)) if mtu else b"",
            attribute(IFLA_LINKINFO, attribute(IFLA_INFO_KIND, b"bridge")),
        )
        return self._made(name)

    def add_veth(
        self, name: str, bridge: int, peer: str, peer_mac: bytes, namespace: int, mtu: int | None
    ) -> int:
        """A cable from the bridge to `peer` in the network namespace of the descriptor. Its index here.

        Raises FileExistsError, OSError.
        """
        size = attribute(IFLA_MTU, struct.pack("=I", mtu)) if mtu else b""
        inside = _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + b"".join(
            (
                attribute(IFLA_IFNAME, _text(peer)),
                attribute(IFLA_ADDRESS, peer_mac),
                attribute(IFLA_NET_NS_FD, struct.pack("=I", namespace)),
                size,
            )
        )
        data = attribute(IFLA_INFO_DATA | _NESTED, attribute(VETH_INFO_PEER | _NESTED, inside))
        self._new_link(
            name,
            _IFF_UP,
            attribute(IFLA_IFNAME, _text(name)),
            attribute(IFLA_MASTER, struct.pack("=I", bridge)),
            size,
            attribute(IFLA_LINKINFO | _NESTED, attribute(IFLA_INFO_KIND, b"veth") + data),
        )
        return self._made(name)

    def set_hairpin(self, index: int, name: str) -> None:
        """Have a member of a bridge get back what it has sent: br_netfilter translates before it forwards.

        Raises OSError.
        """
        data = attribute(IFLA_INFO_SLAVE_DATA | _NESTED, attribute(IFLA_BRPORT_MODE, b"\x01"))
        kind = attribute(IFLA_INFO_SLAVE_KIND, b"bridge\0")
        payload = _LINK.pack(socket.AF_UNSPEC, 0, index, 0, 0)
        self.request(RTM_NEWLINK, 0, payload + attribute(IFLA_LINKINFO | _NESTED, kind + data), name)

    def set_up(self, index: int, name: str) -> None:
        """Raises OSError."""
        self.request(RTM_NEWLINK, 0, _LINK.pack(socket.AF_UNSPEC, 0, index, _IFF_UP, _IFF_UP), name)

    def delete_link(self, name: str) -> None:
        """Fine where there is none. Raises OSError."""
        payload = _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + attribute(IFLA_IFNAME, _text(name))
        try:
            self.request(RTM_DELLINK, 0, payload, name)
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise

    def add_address(self, index: int, address: Interface) -> None:
        """Usable at once. Raises OSError; one that is there already is fine."""
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        packed = address.ip.packed
        payload = _ADDRESS.pack(family, address.network.prefixlen, 0, 0, index)
        payload += attribute(IFA_LOCAL, packed) + attribute(IFA_ADDRESS, packed)
        if address.version == 4:
            payload += attribute(IFA_BROADCAST, address.network.broadcast_address.packed)
        else:
            payload += attribute(IFA_FLAGS, struct.pack("=I", IFA_F_NODAD))
        with contextlib.suppress(FileExistsError):
            self.request(RTM_NEWADDR, _NLM_F_CREATE_NEW, payload, str(address))

    def add_default_route(self, gateway: ipaddress.IPv4Address | ipaddress.IPv6Address, index: int) -> None:
        """Raises OSError; FileExistsError if there is one."""
        family = socket.AF_INET if gateway.version == 4 else socket.AF_INET6
        kind = (_RT_TABLE_MAIN, _RTPROT_STATIC, _RT_SCOPE_UNIVERSE, _RTN_UNICAST)
        payload = _ROUTE.pack(family, 0, 0, 0, *kind, 0)
        payload += attribute(RTA_GATEWAY, gateway.packed) + attribute(RTA_OIF, struct.pack("=I", index))
        self.request(RTM_NEWROUTE, _NLM_F_CREATE_NEW, payload, f"the route by {gateway}")

    def names(self) -> list[str]:
        """Of all devices. Raises OSError."""
        answers = self.request(RTM_GETLINK, _NLM_F_DUMP, _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0), "devices")
        return [
            value.rstrip(b"\0").decode()
            for answer in answers
            for kind, value in attributes(answer[_LINK.size :])
            if kind == IFLA_IFNAME
        ]

    def request(self, kind: int, flags: int, payload: bytes, what: str) -> list[bytes]:
        """Send it, and wait for the answer. Raises OSError about `what`."""
        self._sequence += 1
        length = _HEADER.size + len(payload)
        flags |= _NLM_F_REQUEST | (0 if flags & _NLM_F_DUMP == _NLM_F_DUMP else _NLM_F_ACK)
        self._socket.send(_HEADER.pack(length, kind, flags, self._sequence, 0) + payload)
        answers: list[bytes] = []
        while True:
            for answer, content in _messages(self._socket.recv(_BUFFER)):
                if answer == _NLMSG_ERROR:
                    number = -struct.unpack_from("=i", content)[0]
                    if number:
                        raise OSError(number, os.strerror(number), what)
                    return answers
                if answer == _NLMSG_DONE:
                    return answers
                answers.append(content)

    def _link(self, name: str) -> bytes | None:
        payload = _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + attribute(IFLA_IFNAME, _text(name))
        try:
            answers = self.request(RTM_GETLINK, 0, payload, name)
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise
            return None
        return answers[0] if answers else None

    def _new_link(self, name: str, flags: int, *parts: bytes) -> None:
        payload = _LINK.pack(socket.AF_UNSPEC, 0, 0, flags, flags) + b"".join(parts)
        self.request(RTM_NEWLINK, _NLM_F_CREATE_NEW, payload, name)

    def _made(self, name: str) -> int:
        index = self.index(name)
        if index is None:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV), name)
        return index


def open_socket() -> socket.socket:
    """In this process' network namespace. Raises OSError."""
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)


def attribute(kind: int, value: bytes) -> bytes:
    """struct nlattr, padded: netlink(7)."""
    length = 4 + len(value)
    return struct.pack("=HH", length, kind) + value + bytes(-length % 4)


def attributes(payload: bytes) -> Iterator[tuple[int, bytes]]:
    while len(payload) >= 4:
        length, kind = struct.unpack_from("=HH", payload)
        if length < 4:
            return
        yield kind & 0x3FFF, payload[4:length]
        payload = payload[(length + 3) & ~3 :]


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= _HEADER.size:
        length, kind, *_ = _HEADER.unpack_from(data)
        yield kind, data[_HEADER.size : length]
        data = data[(length + 3) & ~3 :]


def _text(name: str) -> bytes:
    return name.encode() + b"\0"
