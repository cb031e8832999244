"""Clients of the streaming server, written from the protocols' documents and apart from the server's code.

Spdy: https://www.chromium.org/spdy/spdy-protocol/spdy-protocol-draft3-1. WebSocket: RFC 6455.
"""

from __future__ import annotations

import base64
import json
import os
import select
import socket
import struct
import zlib
from collections import defaultdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

TIMEOUT = 60  # seconds until a read counts as hung
_IDLE = 0.5  # seconds without progress until a connection counts as full

OPENED: list[socket.socket] = []  # for who closes them after a test

Answer = tuple[int, dict[str, str], bytes]


def ask(url: str, headers: list[tuple[str, str]], method: str = "POST") -> tuple[socket.socket, Answer]:
    """The connection after the head of the answer, and that head: status, headers, what came behind it."""
    parts = urlsplit(url)
    connection = socket.create_connection((parts.hostname or "", parts.port or 80), timeout=TIMEOUT)
    OPENED.append(connection)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    lines = [
        f"{method} {target} HTTP/1.1",
        f"Host: {parts.netloc}",
        *(f"{name}: {value}" for name, value in headers),
    ]
    connection.sendall("\r\n".join([*lines, "", ""]).encode())
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(4096)
        assert piece, data
        data += piece
    head, _, rest = data.partition(b"\r\n\r\n")
    first, *fields = head.decode().split("\r\n")
    pairs = (field.partition(": ") for field in fields)
    return connection, (int(first.split()[1]), {name.lower(): value for name, _, value in pairs}, rest)


class Connected:
    """After the upgrade: what comes, piece by piece."""

    connection: socket.socket
    _rest: bytes

    def _read(self, size: int) -> bytes:
        while len(self._rest) < size:
            piece = self.connection.recv(65536)
            assert piece, "the server hung up"
            self._rest += piece
        data, self._rest = self._rest[:size], self._rest[size:]
        return data


class Spdy(Connected):
    """One connection; streams by their names."""

    def __init__(self, url: str, protocol: str = "v4.channel.k8s.io", method: str = "POST") -> None:
        headers = [
            ("Connection", "Upgrade"),
            ("Upgrade", "SPDY/3.1"),
            ("X-Stream-Protocol-Version", protocol),
        ]
        self.connection, (self.status, self.headers, self._rest) = ask(url, headers, method)
        assert self.status == 101, (self.status, self._rest)
        self._begin()

    def _begin(self) -> None:
        dictionary = dictionary_of_the_document()
        self._deflate = zlib.compressobj(zdict=dictionary)
        self._inflate = zlib.decompressobj(zdict=dictionary)
        self._next = 1
        self.names: dict[int, str] = {}
        self.received: dict[str, bytes] = defaultdict(bytes)
        self.ended: set[str] = set()
        self.refused: set[str] = set()
        self.pongs: list[int] = []
        self.gone = False

    def open(self, name: str, **headers: str) -> int:
        """A stream with these headers; its answer is waited for."""
        number, self._next = self._next, self._next + 2
        self.names[number] = name
        block = struct.pack(">I", len(headers))
        for key, value in headers.items():
            for word in (key.lower().encode(), value.encode()):
                block += struct.pack(">I", len(word)) + word
        payload = struct.pack(">IIBB", number, 0, 0, 0)
        payload += self._deflate.compress(block) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        self._control(1, payload)
        while True:
            kind, about = self.frame()
            if kind in ("reply", "reset") and about == name:
                return number

    def opens(self, *types: str) -> None:
        for each in types:
            self.open(each, streamType=each)

    def send(self, name: str, data: bytes, *, last: bool = False) -> None:
        number = next(number for number, known in self.names.items() if known == name)
        self._write(struct.pack(">IB", number, last) + len(data).to_bytes(3) + data)

    def ping(self, number: int) -> None:
        self._control(6, struct.pack(">I", number))

    def until(self, name: str, data: bytes) -> None:
        while data not in self.received[name]:
            self.frame()

    def finish(self) -> Any:
        """Everything that still comes; the status, or the text of the error stream."""
        while not self.gone:
            self.frame()
        self.connection.close()
        text = self.received["error"]
        return json.loads(text) if text.startswith(b"{") else text

    def frame(self) -> tuple[str, str]:
        """The next one: what it is, and of which stream."""
        word, flags = struct.unpack(">IB", self._read(5))
        payload = self._read(int.from_bytes(self._read(3)))
        if not word >> 31:
            name = self.names[word]
            self.received[name] += payload
            if flags & 1:
                self.ended.add(name)
            return "data", name
        assert word >> 16 == 0x8003, hex(word)
        (number,) = struct.unpack_from(">I", payload)
        name = self.names.get(number, "")
        kind = word & 0xFFFF
        if kind == 2:
            assert self._inflate.decompress(payload[4:]) == b"\0\0\0\0", "no headers"
            return "reply", name
        if kind == 3:
            self.refused.add(name)
            return "reset", name
        if kind == 6:
            self.pongs.append(number)
            return "pong", ""
        if kind == 7:
            self.gone = True
            return "gone", ""
        assert kind == 9, kind
        return "window", name

    def _control(self, kind: int, payload: bytes) -> None:
        self._write(struct.pack(">IB", 0x80030000 | kind, 0) + len(payload).to_bytes(3) + payload)

    def _write(self, data: bytes) -> None:
        self.connection.sendall(data)


def dictionary_of_the_document() -> bytes:
    """Its appendix, byte by byte; the document names it by its Adler-32, 0xe3c6a7c2."""
    return (Path(__file__).parent / "spdy_dictionary.bin").read_bytes()


class WebSocket(Connected):
    """One connection, with channels."""

    def __init__(self, url: str, protocol: str | None = "v4.channel.k8s.io") -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        headers = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")]
        headers += [("Sec-WebSocket-Key", key)] + ([("Sec-WebSocket-Protocol", protocol)] if protocol else [])
        self.connection, (self.status, self.headers, self._rest) = ask(url, headers, "GET")
        assert self.status == 101, (self.status, self._rest)
        assert self.headers.get("sec-websocket-protocol") == protocol
        self._base64 = "base64" in (protocol or "")
        self.received: dict[int, bytes] = defaultdict(bytes)
        self.closed = False

    def send(self, channel: int, data: bytes) -> None:
        whole = str(channel).encode() + base64.b64encode(data) if self._base64 else bytes([channel]) + data
        self.message(1 if self._base64 else 2, whole)

    def message(self, opcode: int, data: bytes) -> None:
        """Masked, as a client's have to be."""
        mask = os.urandom(4)
        length = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + struct.pack(">H", len(data))
        masked = bytes(byte ^ mask[number % 4] for number, byte in enumerate(data))
        self.connection.sendall(bytes([0x80 | opcode]) + length + mask + masked)

    def fill(self, channel: int) -> bytes:
        """Send until nothing more is taken; what is left of the last message."""
        content = bytes([channel]) + bytes(60000)
        message, rest = b"\x82\xfe" + struct.pack(">H", len(content)) + bytes(4) + content, b""
        while select.select([], [self.connection], [], _IDLE)[1]:
            rest = rest or message
            rest = rest[self.connection.send(rest) :]
        return rest

    def until(self, channel: int, data: bytes) -> None:
        while data not in self.received[channel]:
            self.frame()

    def finish(self) -> Any:
        """Everything that still comes; the status, or the text of the error channel."""
        while not self.closed:
            self.frame()
        self.connection.close()
        text = self.received[3]
        return json.loads(text) if text.startswith(b"{") else text

    def frame(self) -> int:
        """The next one; its opcode."""
        opcode, data = self._next()
        if opcode == 8:
            self.closed = True
        elif opcode == 1:
            self.received[int(data[:1])] += base64.b64decode(data[1:])
        elif opcode == 2:
            self.received[data[0]] += data[1:]
        return opcode

    def content(self, opcode: int) -> bytes:
        """Of the next one, which has this opcode."""
        found, data = self._next()
        assert found == opcode
        return data

    def _next(self) -> tuple[int, bytes]:
        first, length = self._read(2)
        assert first & 0x80 and not length & 0x80
        if length == 126:
            (length,) = struct.unpack(">H", self._read(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", self._read(8))
        return first & 0xF, self._read(length)


class TunnelledSpdy(Spdy):
    """In the messages of a WebSocket, several for a frame."""

    def __init__(self, url: str, protocol: str) -> None:
        self._outer = WebSocket(url, f"SPDY/3.1+{protocol}")
        self.connection, self._rest = self._outer.connection, b""
        self._begin()

    def _read(self, size: int) -> bytes:
        while len(self._rest) < size:
            self._rest += self._outer.content(2)
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    def _write(self, data: bytes) -> None:
        for start in range(0, len(data), 100):
            self._outer.message(2, data[start : start + 100])
