"""Skeleton: an archive without the content of its files, which together with the files makes it again.

Theory, that of tar-split: one tree has many archives, which differ in the order of the entries, the form of
headers and the padding. A layer is named by the digest of one of them, the diff id. All of that archive
but what became files is kept, in the very bytes: a tar stream in which each file's header is followed by
its padding at once. Its headers tell where which content belongs, so it needs no format of its own.

    layers/sha256/HEX/skeleton.tar.gz     some 10 bytes a file

It works as long as each content is still there: not for an archive that has a file, link or directory twice.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from typing import Any

from launcher.kernel.safe_path import open_beneath
from provisioner.layer.parents import split
from provisioner.layer.stream import CHUNK, OUTPUT, ByteStream, MalformedContent, decompress
from provisioner.layer.tar import Entry, TarReader

NAME = "skeleton.tar.gz"

_PIECE = 256 << 10  # bytes compressed at once
_GZIP = 31  # zlib's window bits for a gzip header
_LEVEL = 1  # headers are alike: more effort gains little
_PARENT = os.O_PATH | os.O_DIRECTORY
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class LayerChanged(Exception):
    """The directory is not what its archive made: what differs, as a clause."""


class SkeletonWriter:
    """Compresses what it is given into a new file."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._buffer = bytearray()
        self._compressor = _zlib().compressobj(_LEVEL, wbits=_GZIP)
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

    def write(self, part: memoryview) -> None:
        self._buffer += part
        if len(self._buffer) >= _PIECE:
            self._flush()

    def finish(self) -> None:
        self._flush()
        self._put(self._compressor.flush())

    def discard(self) -> None:
        os.unlink(self._path)

    def close(self) -> None:
        os.close(self._fd)

    def _flush(self) -> None:
        self._put(self._compressor.compress(self._buffer))
        self._buffer.clear()

    def _put(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]


def rebuild(
    skeleton: str,
    root_fd: int,
    write: Callable[[memoryview], object],
    look: Callable[[Entry], object] = lambda _: None,
) -> None:
    """Write the archive again, of the skeleton and the files below `root_fd`; `look` sees each entry.

    The bytes are right if they hash to the layer's diff id. Raises LayerChanged, OSError.
    """
    fd = os.open(skeleton, os.O_RDONLY | os.O_CLOEXEC)
    try:
        stream = ByteStream(decompress(_File(fd), "gzip"), write)
        reader = TarReader(stream)
        for entry in reader:
            stream.flush()
            look(entry)
            if _is_cut(entry):
                for piece in _content(root_fd, entry, reader.leave_out()):
                    write(piece)
        while stream.some(OUTPUT):
            pass
        stream.flush()
    except MalformedContent as error:
        raise LayerChanged(f"its skeleton is damaged: {error}") from error
    finally:
        os.close(fd)


def _is_cut(entry: Entry) -> bool:
    """Whether layer.tree made a file of it; the content of others stays in the skeleton."""
    if entry.kind != "file":
        return False
    parts = split(entry.unsafe_name)
    return bool(parts) and not parts[-1].startswith(b".wh.")


def _content(root_fd: int, entry: Entry, stored: int) -> Iterator[memoryview]:
    """What the archive had of the file: all of it, or the segments of a sparse one."""
    with_holes = entry.segments is not None
    if not stored and not with_holes:
        return
    *parents, name = split(entry.unsafe_name)
    try:
        parent = open_beneath(root_fd, b"/".join(parents) or b".", _PARENT)
        try:
            fd = os.open(name, _READ, dir_fd=parent)
        finally:
            os.close(parent)
    except OSError as error:
        raise LayerChanged(f"{os.fsdecode(entry.unsafe_name)!r}: {error.strerror}") from error
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_size != entry.size:
            raise LayerChanged(f"{os.fsdecode(entry.unsafe_name)!r} is no file of {entry.size} bytes")
        for offset, length in entry.segments if entry.segments is not None else ((0, stored),):
            yield from _range(fd, offset, length)
    finally:
        os.close(fd)


def _range(fd: int, offset: int, length: int) -> Iterator[memoryview]:
    while length:
        chunk = os.pread(fd, min(length, CHUNK), offset)
        if not chunk:
            raise LayerChanged("a file got shorter while it was read")
        yield memoryview(chunk)
        offset, length = offset + len(chunk), length - len(chunk)


class _File:
    def __init__(self, fd: int) -> None:
        self._fd = fd

    def read(self, size: int, /) -> bytes:
        return os.read(self._fd, size)


def _zlib() -> Any:
    """isal where it has code for the processor: several times as fast."""
    try:
        from isal import isal_zlib
    except ImportError:
        import zlib

        return zlib
    return isal_zlib
