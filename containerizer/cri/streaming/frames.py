"""The frames of SPDY/3.1, to bytes and back: https://www.chromium.org/spdy/spdy-protocol/spdy-protocol-draft3-1.

Nothing is read or written here. There is what a server reads and writes; frames of other kinds are skipped by
their length, as the document has it.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping

from launcher.data import Data
from launcher.errors import ContainerizerError

VERSION = 3
SYN_STREAM, SYN_REPLY, RST_STREAM, PING, GOAWAY, WINDOW_UPDATE = 1, 2, 3, 6, 7, 9
FIN = 1

PROTOCOL_ERROR, REFUSED_STREAM = 1, 3  # status of RST_STREAM

_CONTROL = 1 << 31
_LARGEST = 1 << 20  # bytes of a frame that we take: clients send 32 KiB at once
_LARGEST_HEADERS = 64 << 10  # bytes, uncompressed
_HEAD = struct.Struct(">IBBH")  # the first word; flags; 24 bits of length

# Section 2.6.10.1: what headers are compressed against. Each word of the first part is behind its length.
_WORDS = """
    options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age
    allow authorization cache-control connection content-base content-encoding content-language content-length
    content-location content-md5 content-range content-type date etag expect expires from host if-match
    if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma
    proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding
    upgrade user-agent vary via warning www-authenticate method get status
""".split()  # noqa: SIM905 - as a list it has seventy lines
_MORE_WORDS = ("200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie", "keep-alive", "origin")
_REST = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized"
    "403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,"
    "text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)
DICTIONARY = (
    b"".join(struct.pack(">I", len(word)) + word.encode() for word in (*_WORDS, *_MORE_WORDS))
    + _REST.encode()
)


class SpdyError(ContainerizerError):
    """The other end does not keep to the protocol."""


class Frame(Data):
    """`kind` is 0 for data. `number` is a stream's, or a ping's."""

    kind: int
    number: int
    flags: int = 0
    payload: bytes = b""
    headers: Mapping[str, str] | None = None

    @property
    def is_last(self) -> bool:
        """Of its stream, in this direction."""
        return bool(self.flags & FIN)


class Decoder:
    """Bytes in, frames out; the headers of a connection are compressed as one."""

    def __init__(self) -> None:
        self._rest = b""
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Raises SpdyError."""
        self._rest += data
        while len(self._rest) >= _HEAD.size:
            word, flags, high, low = _HEAD.unpack_from(self._rest)
            end = _HEAD.size + (high << 16 | low)
            if end > _LARGEST:
                raise SpdyError(f"a frame of {end} bytes")
            if len(self._rest) < end:
                return
            payload, self._rest = self._rest[_HEAD.size : end], self._rest[end:]
            frame = self._frame(word, flags, payload)
            if frame is not None:
                yield frame

    def _frame(self, word: int, flags: int, payload: bytes) -> Frame | None:
        if not word & _CONTROL:
            return Frame(0, word, flags, payload)
        if word >> 16 & 0x7FFF != VERSION:
            raise SpdyError(f"version {word >> 16 & 0x7FFF} of SPDY")
        kind = word & 0xFFFF
        try:
            if kind == SYN_STREAM:
                number, _, _ = struct.unpack_from(">IIH", payload)
                return Frame(kind, number & ~_CONTROL, flags, headers=self._headers(payload[10:]))
            if kind in (RST_STREAM, PING, GOAWAY):
                (number,) = struct.unpack_from(">I", payload)
                return Frame(kind, number & ~_CONTROL if kind != PING else number, flags, payload)
        except (struct.error, zlib.error, UnicodeDecodeError) as error:
            raise SpdyError(f"a frame of kind {kind} is malformed: {error}") from error
        return None

    def _headers(self, compressed: bytes) -> dict[str, str]:
        block = self._inflate.decompress(compressed, _LARGEST_HEADERS + 1)
        if len(block) > _LARGEST_HEADERS:
            raise SpdyError("headers that are too long")
        words = _words(block)
        return dict(zip(words[::2], words[1::2], strict=True))


class Encoder:
    """Frames to bytes."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(zdict=DICTIONARY)

    def data(self, number: int, payload: bytes, *, last: bool = False) -> bytes:
        return _joined(number, FIN if last else 0, payload)

    def syn_reply(self, number: int) -> bytes:
        return _control(SYN_REPLY, struct.pack(">I", number) + self._headers({}))

    def reset(self, number: int, status: int) -> bytes:
        return _control(RST_STREAM, struct.pack(">II", number, status))

    def ping(self, number: int) -> bytes:
        return _control(PING, struct.pack(">I", number))

    def go_away(self, last_stream: int) -> bytes:
        return _control(GOAWAY, struct.pack(">II", last_stream, 0))

    def window_update(self, number: int, size: int) -> bytes:
        return _control(WINDOW_UPDATE, struct.pack(">II", number, size))

    def _headers(self, headers: Mapping[str, str]) -> bytes:
        block = struct.pack(">I", len(headers))
        for name, value in headers.items():
            for word in (name.lower().encode(), value.encode()):
                block += struct.pack(">I", len(word)) + word
        return self._deflate.compress(block) + self._deflate.flush(zlib.Z_SYNC_FLUSH)


def _control(kind: int, payload: bytes, flags: int = 0) -> bytes:
    return _joined(_CONTROL | VERSION << 16 | kind, flags, payload)


def _joined(word: int, flags: int, payload: bytes) -> bytes:
    return _HEAD.pack(word, flags, len(payload) >> 16, len(payload) & 0xFFFF) + payload


def _words(block: bytes) -> list[str]:
    """Names and values in turns, each behind its length; before them the number of pairs."""
    (pairs,) = struct.unpack_from(">I", block)
    words, position = [], 4
    for _ in range(2 * pairs):
        (length,) = struct.unpack_from(">I", block, position)
        word = block[position + 4 : position + 4 + length]
        if len(word) < length:
            raise SpdyError("headers that end early")
        words.append(word.decode())
        position += 4 + length
    return words
