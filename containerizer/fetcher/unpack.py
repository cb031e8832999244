"""Unpack a fetched file: tar, zip, or one compressed file, told apart by what is in it and not by its name.

tar may be compressed with gzip, bzip2, xz or zstd. Archives are bounded in bytes and in names, and
read by the provisioner's reader, which trusts nothing; zip's index is read by the standard library.
"""

from __future__ import annotations

import calendar
import errno
import lzma
import os
import stat
import struct
import time
import zipfile
import zlib
from collections.abc import Iterator

from containerizer.fetcher.options import FetchOptions
from containerizer.fetcher.place import Place, file_entry
from launcher.data import Data
from provisioner.layer.stream import OUTPUT, ByteStream, MalformedContent
from provisioner.layer.tar import TarReader
from provisioner.layer.tar_header import BLOCK, check_sum
from provisioner.sources.spool import Section, compression_of, uncompressed

_ZIP_MAGIC = (b"PK\3\4", b"PK\5\6")  # of one with files, of one without: APPNOTE.TXT section 4.3
_ENCRYPTED = 0x1
_UNIX = 3  # "version made by": the upper half of external_attr is a mode
_MAX_LINK = 4096  # bytes of a symbolic link's target
_SUFFIXES = (".gz", ".bz2", ".xz", ".zst")
# What the standard library raises for what is broken, as fuzzing has found it.
_ZIP_ERRORS = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, IndexError, NotImplementedError, RuntimeError, ValueError),
)


class Archive(Data, kw_only=True):
    """What to unpack."""

    fd: int
    name: str  # of what was fetched
    output: str | None  # the directory, or the file where it holds one only; None: the top, and its own name


def unpack(archive: Archive, place: Place, options: FetchOptions) -> None:
    """Raises MalformedContent, also for what is no archive; OSError."""
    head = os.pread(archive.fd, 8, 0)
    bounds = _Bounds(options)
    if head.startswith(_ZIP_MAGIC):
        return _unzip(archive, place, bounds)
    stream = _Peeked(bounds.counted(uncompressed(Section(archive.fd, 0, os.fstat(archive.fd).st_size))))
    if _is_tar(stream.head):
        return _untar(stream, archive, place, bounds)
    if compression_of(head) == "none":
        raise MalformedContent("it is no archive: tar, zip, gzip, bzip2, xz and zstd are known")
    name = archive.output or _without_suffix(archive.name)
    return place.put(file_entry(name, 0o644, time.time_ns()), map(memoryview, stream.chunks()))


class _Bounds:
    """What is left of what an archive may take."""

    def __init__(self, options: FetchOptions) -> None:
        self._options = options
        self._bytes = 0
        self._entries = 0

    def counted(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self.spend(len(chunk))
            yield chunk

    def spend(self, size: int) -> None:
        self._bytes += size
        if self._bytes > self._options.max_unpacked:
            raise MalformedContent(f"it unpacks to more than {self._options.max_unpacked} bytes")

    def entry(self) -> None:
        self._entries += 1
        if self._entries > self._options.max_entries:
            raise MalformedContent(f"it has more than {self._options.max_entries} files")


class _Peeked:
    """Chunks whose first ones can be looked at."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self.head = b""
        self._rest = chunks
        for chunk in chunks:
            self.head += chunk
            if len(self.head) >= BLOCK:
                break

    def chunks(self) -> Iterator[bytes]:
        if self.head:
            yield self.head
        yield from self._rest


def _is_tar(head: bytes) -> bool:
    block = head[:BLOCK]
    if len(block) < BLOCK:
        return False
    try:
        check_sum(block)
    except MalformedContent:
        return not any(block)  # an archive of nothing
    return True


def _untar(stream: _Peeked, archive: Archive, place: Place, bounds: _Bounds) -> None:
    below = os.fsencode(archive.output or "")
    reader = TarReader(ByteStream(stream.chunks()))
    for entry in reader:
        bounds.entry()
        if entry.segments is not None:
            bounds.spend(entry.size)  # a hole takes no space, but whoever copies the file meets all of it
        place.put(entry, reader.stored(), below)


def _unzip(archive: Archive, place: Place, bounds: _Bounds) -> None:
    below = os.fsencode(archive.output or "")
    try:
        with open(archive.fd, "rb", closefd=False) as file, zipfile.ZipFile(file) as opened:
            for info in opened.infolist():
                bounds.entry()
                _unzip_one(opened, info, place, bounds, below)
    except _ZIP_ERRORS as error:
        raise MalformedContent(f"broken zip archive: {error}") from error
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):  # bzip2's own, and a seek to before the start
            raise
        raise MalformedContent(f"broken zip archive: {error}") from error


def _unzip_one(
    opened: zipfile.ZipFile, info: zipfile.ZipInfo, place: Place, bounds: _Bounds, below: bytes
) -> None:
    if info.flag_bits & _ENCRYPTED:
        raise MalformedContent(f"{info.filename!r} is encrypted")
    mode = info.external_attr >> 16 if info.create_system == _UNIX else 0
    kind, link = "directory" if info.is_dir() else "file", b""
    with opened.open(info) as content:
        if stat.S_ISLNK(mode):
            kind, link = "symlink", content.read(_MAX_LINK)
        bits = stat.S_IMODE(mode) or (0o755 if kind == "directory" else 0o644)
        entry = file_entry(info.filename, bits, _time(info), kind, link)
        chunks = bounds.counted(iter(lambda: content.read(OUTPUT), b""))
        place.put(entry, map(memoryview, chunks) if kind == "file" else (), below)


def _time(info: zipfile.ZipInfo) -> int:
    """Nanoseconds; MS-DOS' time has no zone, and may be nonsense."""
    try:
        return max(0, calendar.timegm((*info.date_time, 0, 0, 0))) * 10**9
    except ValueError:
        return 0


def _without_suffix(name: str) -> str:
    return next((name.removesuffix(suffix) for suffix in _SUFFIXES if name.endswith(suffix)), name) or name
