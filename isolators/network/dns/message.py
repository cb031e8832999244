"""DNS messages, as far as a server of names and addresses reads and writes them (RFC 1035, section 4)."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Sequence

from launcher.data import Data

A, PTR, AAAA, ANY = 1, 12, 28, 255
NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5
TTL = 5  # seconds: a container's name is another's address soon

_HEADER = struct.Struct(">HHHHHH")
_RESPONSE, _AUTHORITATIVE, _RECURSION_DESIRED, _RECURSION_AVAILABLE = 0x8000, 0x0400, 0x0100, 0x0080
_OPCODE = 0x7800
_IN = 1


class Malformed(Exception):
    """No query that can be answered."""


class Query(Data):
    id: int
    flags: int
    name: str  # in lower case, without the dot at the end
    kind: int
    question: bytes  # as it came

    @classmethod
    def parse(cls, data: bytes) -> Query:
        """Raises Malformed."""
        try:
            id_, flags, questions, *_ = _HEADER.unpack_from(data)
            if flags & (_RESPONSE | _OPCODE) or questions != 1:
                raise Malformed
            labels, offset = [], _HEADER.size
            while length := data[offset]:
                if length > 63:  # a pointer makes no sense in the first name
                    raise Malformed
                label = data[offset + 1 : offset + 1 + length]
                labels.append(label.decode("ascii").lower())
                offset += 1 + length
            kind, class_ = struct.unpack_from(">HH", data, offset + 1)
        except (struct.error, IndexError, UnicodeDecodeError):
            raise Malformed from None
        if class_ not in (_IN, ANY):
            raise Malformed
        return cls(id_, flags, ".".join(labels), kind, data[_HEADER.size : offset + 5])


def answer(query: Query, addresses: Sequence[str]) -> bytes:
    """Those of the kind that is asked for; none of them is an answer too: the name is there."""
    parsed = [ipaddress.ip_address(each) for each in addresses]
    wanted = {A: (4,), AAAA: (6,), ANY: (4, 6)}.get(query.kind, ())
    records = [
        _record(A if each.version == 4 else AAAA, each.packed) for each in parsed if each.version in wanted
    ]
    return _message(query, NOERROR, records)


def pointer(query: Query, name: str) -> bytes:
    """The name of an address."""
    encoded = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    return _message(query, NOERROR, [_record(PTR, encoded)])


def failure(query: Query, code: int) -> bytes:
    return _message(query, code, [])


def address_asked_for(name: str) -> str | None:
    """Of a name below in-addr.arpa or ip6.arpa; None: it is another."""
    try:
        if name.endswith(".in-addr.arpa"):
            return str(ipaddress.IPv4Address(".".join(reversed(name.split(".")[:-2]))))
        if name.endswith(".ip6.arpa"):
            return str(ipaddress.IPv6Address(int("".join(reversed(name.split(".")[:-2])), 16)))
    except ValueError:
        return None
    return None


def _message(query: Query, code: int, records: Sequence[bytes]) -> bytes:
    flags = _RESPONSE | _AUTHORITATIVE | _RECURSION_AVAILABLE | (query.flags & _RECURSION_DESIRED) | code
    return _HEADER.pack(query.id, flags, 1, len(records), 0, 0) + query.question + b"".join(records)


def _record(kind: int, data: bytes) -> bytes:
    # Its name is the question's, which begins after the header of 12 bytes.
    return struct.pack(">HHHIH", 0xC00C, kind, _IN, TTL, len(data)) + data
