"""Spool: content that has to be read out of order, in a file without a name.

Theory: such a file is gone with its last descriptor, so a killed process leaves nothing on the disk.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

from provisioner.errors import InvalidImage, StoreError
from provisioner.layer.stream import CHUNK, OUTPUT, MalformedContent, Readable, decompress
from provisioner.manifest import Compression

MAX_SPOOL = 64 << 30  # bytes that an archive may unpack to; as what one image may take

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
)
_LZMA_MEMORY = 256 << 20  # bytes a xz stream may make us hold


def unnamed_file(directory: str) -> int:
    """A descriptor of a new file, which is on the directory's filesystem and in no directory."""
    os.makedirs(directory, exist_ok=True)
    path = f"{directory}/{os.urandom(8).hex()}"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with contextlib.suppress(FileNotFoundError):  # a sweep took it for a leftover
        os.unlink(path)
    return fd


class Section:
    """A part of an open file as a stream of its own; several may be read at once."""

    def __init__(self, fd: int, offset: int, size: int) -> None:
        self._fd = fd
        self._position = offset
        self._end = offset + size

    def read(self, size: int, /) -> bytes:
        chunk = os.pread(self._fd, min(size, self._end - self._position), self._position)
        self._position += len(chunk)
        return chunk


class Descriptor:
    """An open file as a stream from where it stands."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def read(self, size: int, /) -> bytes:
        return os.read(self._fd, size)


def compression_of(head: bytes) -> str:
    """By the first bytes: gzip, zstd, bzip2, xz, or none."""
    return next((name for magic, name in _MAGIC if head.startswith(magic)), "none")


def spool(
    source: Readable,
    directory: str,
    what: str,
    observe: Callable[[bytes], object] = lambda _: None,
    limit: int = MAX_SPOOL,
) -> int:
    """The uncompressed content in an unnamed file: its descriptor, at the start. Raises InvalidImage.

    `observe` sees every uncompressed byte.
    """
    fd = unnamed_file(directory)
    try:
        written = 0
        for chunk in uncompressed(source):
            written += len(chunk)
            if written > limit:
                raise InvalidImage(f"{what} unpacks to more than {limit} bytes")
            observe(chunk)
            write_all(fd, chunk)
        os.lseek(fd, 0, os.SEEK_SET)
    except MalformedContent as error:
        os.close(fd)
        raise InvalidImage(f"{what}: {error}") from error
    except OSError as error:
        os.close(fd)
        raise StoreError(
            f"cannot unpack {what}: {error.strerror or error}", hint=f"look at the space of {directory}"
        ) from error
    except BaseException:
        os.close(fd)
        raise
    return fd


def uncompressed(source: Readable) -> Iterator[bytes]:
    """The chunks of the stream, however it is compressed. Raises MalformedContent."""
    pushed = _Pushed(source)
    kind = compression_of(pushed.head)
    if kind in ("bzip2", "xz"):
        return _decode(pushed, kind)
    known: Compression = "gzip" if kind == "gzip" else "zstd" if kind == "zstd" else "none"
    return decompress(pushed, known)


def write_all(fd: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(fd, rest) :]


class _Pushed:
    """A stream whose first bytes have been looked at."""

    def __init__(self, source: Readable) -> None:
        self._source = source
        self.head = b""
        while len(self.head) < 8 and (chunk := source.read(CHUNK)):
            self.head += chunk
        self._pending = self.head

    def read(self, size: int, /) -> bytes:
        if not self._pending:
            return self._source.read(size)
        chunk, self._pending = self._pending[:size], self._pending[size:]
        return chunk


def _decode(source: Readable, kind: str) -> Iterator[bytes]:
    """bzip2 and xz, of which several streams may follow each other."""
    import bz2
    import lzma

    def new() -> bz2.BZ2Decompressor | lzma.LZMADecompressor:
        return bz2.BZ2Decompressor() if kind == "bzip2" else lzma.LZMADecompressor(memlimit=_LZMA_MEMORY)

    decoder, data = new(), b""
    try:
        while True:
            if decoder.eof:
                data = decoder.unused_data or source.read(CHUNK)
                if not data:
                    return
                decoder = new()
            elif decoder.needs_input and not data:
                data = source.read(CHUNK)
                if not data:
                    raise MalformedContent(f"truncated {kind} stream")
            if output := decoder.decompress(data, OUTPUT):
                yield output
            data = b""
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise MalformedContent(f"broken {kind} stream: {error}") from error
