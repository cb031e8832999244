"""Streams of a layer: verified, decompressed, and cut to the size that a reader asks for.

    blob → Verified (compressed digest and size) → decompress → ByteStream → tar

Nothing is held in memory but one chunk, and no chunk is larger than CHUNK or OUTPUT, whatever the
data claims of itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import IO, Any, Protocol, cast

from provisioner.errors import DigestMismatch
from provisioner.manifest import Compression

CHUNK = 256 << 10  # bytes read at once: few enough calls, and a bar that moves at 1 MB/s
OUTPUT = 1 << 20  # bytes decompressed at once: what bounds the memory of a bomb
_ZSTD_WINDOW = 1 << 27  # bytes a zstd frame may make us hold: what the zstd program accepts

_GZIP = 31  # zlib's window bits for a gzip header and trailer around the largest window

_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


class MalformedContent(Exception):
    """The content breaks its format. `provisioner.layer.unpack` adds which layer it was."""


class Readable(Protocol):
    """A stream of a blob. read returns at most `size` bytes, and b"" at the end only."""

    def read(self, size: int, /) -> bytes: ...


class Verified:
    """Passes a stream through and checks, at its end at the latest, its length and digest.

    Raises MalformedContent for a stream that is shorter or longer than promised, DigestMismatch
    for one with other content.
    """

    def __init__(self, source: Readable, digest: str, size: int, advance: Callable[[int], None]) -> None:
        self._source = source
        self._digest = digest
        self._size = size
        self._advance = advance  # told the bytes read so far
        self._read = 0
        self._hash = hashlib.new(digest.partition(":")[0])

    def read(self, size: int, /) -> bytes:
        chunk = self._source.read(size)
        self._hash.update(chunk)
        self._read += len(chunk)
        if self._read > self._size:
            raise MalformedContent(f"more than the {self._size} bytes that its manifest promises")
        if chunk:
            self._advance(self._read)
        else:
            self._check()
        return chunk

    def tell(self) -> None:
        """Tell `advance` again, which may raise to end the reading."""
        self._advance(self._read)

    def drain(self) -> None:
        """Read what is left, so that length and digest are checked."""
        while self.read(CHUNK):
            pass

    def _check(self) -> None:
        if self._read < self._size:
            raise MalformedContent(f"truncated: {self._read} of {self._size} bytes")
        check_digest(self._hash.hexdigest(), self._digest)


def check_digest(hexdigest: str, digest: str) -> None:
    """Raises DigestMismatch."""
    algorithm, _, promised = digest.partition(":")
    if hexdigest != promised:
        raise DigestMismatch(f"content hashes to {algorithm}:{hexdigest}, not to {digest}")


def decompress(source: Readable, compression: Compression) -> Iterator[bytes]:
    """The chunks of the uncompressed stream. Raises MalformedContent."""
    stream = _Peeked(source)
    magic = {_GZIP_MAGIC: "gzip", _ZSTD_MAGIC: "zstd"}
    found = next((name for prefix, name in magic.items() if stream.head.startswith(prefix)), "none")
    if found != compression:
        raise MalformedContent(f"its media type says compression {compression}, its content {found}")
    return _DECODERS[compression](stream)


class _Peeked:
    """A stream whose first bytes can be looked at."""

    def __init__(self, source: Readable) -> None:
        self._source = source
        self.head = b""
        while len(self.head) < len(_ZSTD_MAGIC) and (chunk := source.read(CHUNK)):
            self.head += chunk
        self._pending = self.head

    def read(self, size: int, /) -> bytes:
        if not self._pending:
            return self._source.read(size)
        chunk, self._pending = self._pending[:size], self._pending[size:]
        return chunk


def _plain(source: Readable) -> Iterator[bytes]:
    while chunk := source.read(CHUNK):
        yield chunk


def _gunzip(source: Readable) -> Iterator[bytes]:
    """RFC 1952, which allows several members one after the other."""
    zlib = _zlib()
    try:
        decoder = zlib.decompressobj(wbits=_GZIP)
        while data := source.read(CHUNK):
            while data:
                if decoder.eof:
                    if not data.startswith(_GZIP_MAGIC[: len(data)]):  # isal waits for a whole header
                        raise MalformedContent("garbage after the gzip stream")
                    decoder = zlib.decompressobj(wbits=_GZIP)
                yield from _inflate(decoder, data)
                data = decoder.unused_data
    except zlib.error as error:
        raise MalformedContent(f"broken gzip stream, or garbage after it: {error}") from error
    if not decoder.eof:
        raise MalformedContent("truncated gzip stream")


def _zlib() -> Any:
    """isal, which knows the vector instructions of some processors; elsewhere what it imitates."""
    try:
        from isal import isal_zlib
    except ImportError:
        import zlib

        return zlib
    return isal_zlib


def _inflate(decoder: Any, data: bytes) -> Iterator[bytes]:
    while True:
        output = decoder.decompress(data, OUTPUT)
        if output:
            yield output
        data = decoder.unconsumed_tail
        # A full output may leave more inside the decoder although all input was taken.
        if decoder.eof or (not data and len(output) < OUTPUT):
            return


def _unzstd(source: Readable) -> Iterator[bytes]:
    """RFC 8878; zstd:chunked is a sequence of ordinary and skippable frames."""
    import zstandard  # 8 ms that a cached image does without

    decoder = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    stream = cast("IO[bytes]", source)  # only read() of it is used
    reader = decoder.stream_reader(stream, read_size=CHUNK, read_across_frames=True, closefd=False)
    try:
        while chunk := reader.read(OUTPUT):
            yield chunk
    except zstandard.ZstdError as error:
        raise MalformedContent(f"broken zstd stream: {error}") from error


_DECODERS: dict[Compression, Callable[[Readable], Iterator[bytes]]] = {
    "none": _plain,
    "gzip": _gunzip,
    "zstd": _unzstd,
}


class ByteStream:
    """Chunks of any size, read in the sizes that a format has.

    `record` sees, in order, all bytes that were read but those that `content` gave.
    """

    def __init__(self, chunks: Iterator[bytes], record: Callable[[memoryview], object] | None = None) -> None:
        self._chunks = chunks
        self._record = record
        self._recorded = 0  # position in the chunk up to which it has been told
        self._chunk = b""
        self._view = memoryview(b"")  # of the chunk; made once, since each slice of it is cheap
        self._position = 0

    def some(self, limit: int) -> memoryview:
        """The next bytes, at most `limit`; none at the end of the stream."""
        start = self._position
        if start == len(self._chunk):
            if not self._next():
                return memoryview(b"")
            start = 0
        view = self._view[start : start + limit]
        self._position = start + len(view)
        return view

    def content(self, limit: int) -> memoryview:
        """As `some`, but not for the record."""
        view = self.some(limit)
        if self._record is not None:
            end = self._position
            start = end - len(view)
            if start > self._recorded:
                self._record(self._view[self._recorded : start])
            self._recorded = end
        return view

    def flush(self) -> None:
        """Record what was read up to here."""
        if self._record is not None and self._position > self._recorded:
            self._record(self._view[self._recorded : self._position])
            self._recorded = self._position

    def exactly(self, size: int) -> bytes:
        """The next `size` bytes, which the caller has bounded. Raises MalformedContent."""
        end = self._position + size
        if end <= len(self._chunk):
            content = self._chunk[self._position : end]
            self._position = end
            return content
        content = bytes(self.some(size))
        while len(content) < size:
            content += self._more(size - len(content))
        return content

    def exactly_or_end(self, size: int) -> bytes:
        """The next `size` bytes, or none at the end of the stream. Raises MalformedContent."""
        if self._position + size <= len(self._chunk):
            return self.exactly(size)
        first = bytes(self.some(size))
        return first + self.exactly(size - len(first)) if first else b""

    def skip(self, size: int) -> None:
        while size:
            size -= len(self._more(size))

    def skip_at_most(self, size: int) -> None:
        """Skip, or stop at the end of the stream."""
        if self._position + size <= len(self._chunk):
            self._position += size
            return
        while size and (view := self.some(size)):
            size -= len(view)

    def _next(self) -> bool:
        """Go on to the next chunk that is not empty."""
        self.flush()
        for chunk in self._chunks:
            if chunk:
                self._chunk, self._view, self._position = chunk, memoryview(chunk), 0
                self._recorded = 0
                return True
        return False

    def _more(self, limit: int) -> memoryview:
        view = self.some(limit)
        if not view:
            raise MalformedContent("tar archive ends in the middle of an entry")
        return view
