"""What a container may send into a network: frames from its own addresses, and claims about no others.

On one bridge everybody hears everybody, and a task that has CAP_NET_RAW writes frames as it likes. So at the
host's end of its cable a filter lets pass what is from the hardware address and the IP addresses that it was
given, and of ARP (RFC 826) and IPv6's neighbour discovery (RFC 4861) what tells of these. Who says that it is
a router, or redirects others, is not heard (CVE-2020-10749). A container with CAP_NET_ADMIN is trusted with
its network: it may have addresses, and hardware addresses, of its own making.

The filter is a program of classic BPF (bpf(4) of FreeBSD has the operations, linux/filter.h the numbers), a
classifier of tc-bpf(8) that decides by itself; it goes with the device. What it loads beyond a frame's end
ends it with 0, which lets the frame pass: too short to be taken for what it would have been.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterable

from isolators.network.rtnetlink import (
    RTM_NEWQDISC,
    TCA_KIND,
    TCA_OPTIONS,
    TCMSG,
    Interface,
    Netlink,
    attribute,
)

_PASS, _DROP = 0, 2  # TC_ACT_OK and TC_ACT_SHOT

# Operations. Of loads the constant is where, from the beginning of the frame.
_WORD, _HALF, _BYTE, _BYTE_AT_X = 0x20, 0x28, 0x30, 0x50
_EQUAL, _ADD, _SHIFT_LEFT, _TO_X, _RETURN = 0x15, 0x04, 0x64, 0x07, 0x06

_SOURCE, _TYPE, _PAYLOAD = 6, 12, 14  # of Ethernet
_ARP, _IPV4, _IPV6 = 0x0806, 0x0800, 0x86DD
_HOP_BY_HOP, _ROUTING, _ICMPV6, _OPTIONS = 0, 43, 58, 60  # the headers that another may follow
_SOLICITS_ROUTERS, _ROUTER, _NEIGHBOUR, _REDIRECT = 133, 134, 136, 137  # types of ICMPv6
_UNSPECIFIED = bytes(16)

_RTM_NEWTFILTER = 44
_NLM_F_CREATE_EXCL = 0x600
_CLSACT_HANDLE, _CLSACT, _INGRESS = 0xFFFF0000, 0xFFFFFFF1, 0xFFFFFFF2  # linux/pkt_sched.h
_TCA_BPF_OPS_LEN, _TCA_BPF_OPS, _TCA_BPF_FLAGS, _ACT_DIRECT = 4, 5, 8, 1
_ALL_PROTOCOLS = 3  # ETH_P_ALL

_Target = str | None  # of a jump: a place by its name; None: the next instruction


class _Code:
    """Instructions, with names for places until all are there."""

    def __init__(self) -> None:
        self._code: list[tuple[int, int, _Target, _Target]] = []
        self._places: dict[str, int] = {}

    def here(self, name: str) -> None:
        self._places[name] = len(self._code)

    def do(self, operation: int, value: int = 0) -> None:
        self._code.append((operation, value, None, None))

    def test(self, value: int, *, then: _Target = None, otherwise: _Target = None) -> None:
        """Whether what was loaded is this."""
        self._code.append((_EQUAL, value, then, otherwise))

    def compare(self, offset: int, value: bytes, otherwise: str) -> None:
        """Go on if these bytes are there."""
        for begin in range(0, len(value), 4):
            part = value[begin : begin + 4]
            self.do(_WORD if len(part) == 4 else _HALF, offset + begin)
            self.test(int.from_bytes(part), otherwise=otherwise)

    def packed(self) -> bytes:
        """Of struct sock_filter."""

        def distance(target: _Target, place: int) -> int:
            return 0 if target is None else self._places[target] - place - 1

        return b"".join(
            struct.pack("=HBBI", operation, distance(then, place), distance(otherwise, place), value)
            for place, (operation, value, then, otherwise) in enumerate(self._code)
        )


def program(mac: bytes, addresses: Iterable[Interface]) -> bytes:
    """For who has these, and the address of the link that the kernel makes of the hardware address."""
    own = [address.ip.packed for address in addresses]
    code = _Code()
    code.compare(_SOURCE, mac, "drop")
    code.do(_HALF, _TYPE)
    code.test(_ARP, then="arp")
    code.test(_IPV4, then="ipv4")
    code.test(_IPV6, then="ipv6", otherwise="drop")
    _arp(code, mac, [each for each in own if len(each) == 4])
    _ipv6(code, [link_local(mac), *(each for each in own if len(each) == 16)])
    code.here("drop")
    code.do(_RETURN, _DROP)
    code.here("pass")
    code.do(_RETURN, _PASS)
    return code.packed()


def link_local(mac: bytes) -> bytes:
    """RFC 4291, appendix A."""
    return b"\xfe\x80" + bytes(6) + bytes([mac[0] ^ 2]) + mac[1:3] + b"\xff\xfe" + mac[3:]


def set_at(netlink: Netlink, index: int, device: str, code: bytes) -> None:
    """Have the filter decide about what comes from the other end of the cable. Raises OSError.

    A kernel without such classifiers lets all pass.
    """
    payload = TCMSG.pack(socket.AF_UNSPEC, index, _CLSACT_HANDLE, _CLSACT, 0)
    options = attribute(_TCA_BPF_OPS_LEN, struct.pack("=H", len(code) // 8)) + attribute(_TCA_BPF_OPS, code)
    options += attribute(_TCA_BPF_FLAGS, struct.pack("=I", _ACT_DIRECT))
    info = 1 << 16 | socket.htons(_ALL_PROTOCOLS)  # the first, of all frames
    classifier = TCMSG.pack(socket.AF_UNSPEC, index, 0, _INGRESS, info)
    classifier += attribute(TCA_KIND, b"bpf\0") + attribute(TCA_OPTIONS, options)
    try:
        netlink.request(RTM_NEWQDISC, _NLM_F_CREATE_EXCL, payload + attribute(TCA_KIND, b"clsact\0"), device)
        netlink.request(_RTM_NEWTFILTER, _NLM_F_CREATE_EXCL, classifier, device)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.EOPNOTSUPP):
            raise


def _arp(code: _Code, mac: bytes, own: list[bytes]) -> None:
    """Who asks or answers says who it is: hardware address, and IP address or none yet (RFC 5227)."""
    code.here("arp")
    code.compare(_PAYLOAD + 8, mac, "drop")
    code.do(_WORD, _PAYLOAD + 14)
    code.test(0, then="pass")
    for address in own:
        code.test(int.from_bytes(address), then="pass")
    code.do(_RETURN, _DROP)
    code.here("ipv4")
    code.do(_WORD, _PAYLOAD + 12)
    for address in own:
        code.test(int.from_bytes(address), then="pass")
    code.do(_RETURN, _DROP)


def _ipv6(code: _Code, own: list[bytes]) -> None:
    code.here("ipv6")
    _one_of(code, _PAYLOAD + 8, [*own, _UNSPECIFIED], then="from its own")
    code.here("from its own")
    code.do(_BYTE, _PAYLOAD + 6)
    code.test(_ICMPV6, then="icmpv6")
    code.test(_HOP_BY_HOP, then="hop by hop")
    code.test(_ROUTING, then="drop")  # what hides behind these is too far for a filter of this size; behind
    code.test(_OPTIONS, then="drop", otherwise="pass")  # fragments the kernel hears no discovery: RFC 6980
    code.here("hop by hop")  # of reports of multicast: what follows is ICMPv6, but not of discovery
    code.do(_BYTE, _PAYLOAD + 40)
    code.test(_ICMPV6, otherwise="drop")
    code.do(_BYTE, _PAYLOAD + 41)
    code.do(_ADD, 1)
    code.do(_SHIFT_LEFT, 3)
    code.do(_TO_X)
    code.do(_BYTE_AT_X, _PAYLOAD + 40)
    for kind in range(_SOLICITS_ROUTERS, _REDIRECT + 1):
        code.test(kind, then="drop")
    code.do(_RETURN, _PASS)
    code.here("icmpv6")
    code.do(_BYTE, _PAYLOAD + 40)
    code.test(_ROUTER, then="drop")
    code.test(_REDIRECT, then="drop")
    code.test(_NEIGHBOUR, otherwise="pass")
    _one_of(code, _PAYLOAD + 48, own, then="pass")


def _one_of(code: _Code, offset: int, addresses: list[bytes], then: str) -> None:
    for number, address in enumerate(addresses):
        other = f"{offset} is not {number}"
        code.compare(offset, address, other)
        code.test(0, then=then, otherwise=then)
        code.here(other)
    code.do(_RETURN, _DROP)
