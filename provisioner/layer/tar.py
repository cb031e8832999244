"""TarReader: the entries of a tar archive, read as a stream and trusted in nothing.

POSIX ustar and pax (IEEE 1003.1, pax), with GNU's long names, sparse files and base-256 numbers;
tar(5). Where formats leave a choice, this follows Go's archive/tar, since Docker wrote most images
with it: a link or directory has no content whatever its size says, and global pax headers are
ignored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from provisioner.layer import sparse
from provisioner.layer.stream import OUTPUT, ByteStream, MalformedContent
from provisioner.layer.tar_header import (
    BLOCK,
    MAX_ID,
    MAX_SECONDS,
    MAX_SIZE,
    check_sum,
    decimal,
    number,
    pax_records,
    pax_time,
    text,
    unpack_fields,
    xattrs,
)

_MAX_EXTENSION = 1 << 20  # bytes of one pax header or long name: PATH_MAX and xattrs fit many times
_MAX_EXTENSIONS = 8  # of one entry: a long name, a long link and a pax header are three
_ZEROS = bytes(BLOCK)
_NOTHING: Mapping[str, bytes] = {}

# typeflag → kind. "7" is a contiguous file, which no system tells from a regular one.
_KINDS: Mapping[bytes, str] = {
    b"0": "file",
    b"\0": "file",
    b"7": "file",
    b"S": "file",
    b"1": "hardlink",
    b"2": "symlink",
    b"3": "char",
    b"4": "block",
    b"5": "directory",
    b"6": "fifo",
}


class Entry(NamedTuple):
    """One member of the archive. Name and link are as written: absolute, with `..`, anything."""

    kind: str  # a value of _KINDS
    unsafe_name: bytes
    unsafe_link: bytes  # target of a symlink; name in the archive for a hardlink
    mode: int  # permission bits with setuid, setgid and sticky
    uid: int
    gid: int
    size: int  # bytes of the file, its holes included; 0 unless a file
    mtime_ns: int
    device: tuple[int, int]  # major, minor
    xattrs: Mapping[str, bytes]
    segments: sparse.Segments | None = None  # of a sparse file: what of it is stored


class TarReader:
    """Iterate over it for the entries; `content` is that of the entry given last."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._entry: Entry
        self._unread = 0  # bytes of content not yet taken
        self._padding = 0

    def __iter__(self) -> Iterator[Entry]:
        """Raises MalformedContent."""
        while (headers := self._headers()) is not None:
            self._entry = self._parse(*headers)
            yield self._entry
            if self._unread:
                self._stream.skip(self._unread)
            if self._padding:
                self._stream.skip_at_most(self._padding)  # umoci writes none after the last file

    def content(self) -> Iterator[memoryview]:
        """The chunks of the current entry, zeros for its holes; what is not taken is skipped."""
        return self.stored() if self._entry.segments is None else sparse.filled(self._entry, self.stored())

    def stored(self) -> Iterator[memoryview]:
        """The chunks that the archive has of the current entry: for a sparse file, its segments."""
        while self._unread:
            chunk = self._stream.content(min(self._unread, OUTPUT))
            if not chunk:
                raise MalformedContent("tar archive ends in the middle of a file")
            self._unread -= len(chunk)
            yield chunk

    def leave_out(self) -> int:
        """The stream lacks the content of the current entry: how many bytes that were."""
        stored, self._unread = self._unread, 0
        return stored

    def _headers(self) -> tuple[bytes, Mapping[str, bytes]] | None:
        """An entry's own header, and what the extended headers before it say."""
        block = self._header()
        if block is None:
            return None
        if block[156] not in b"xgLK":
            return block, _NOTHING
        pax: dict[str, bytes] = {}
        for _ in range(_MAX_EXTENSIONS):
            pax.update(self._extension(block))
            block = self._header()
            if block is None:
                return None
            if block[156] not in b"xgLK":
                return block, pax
        raise MalformedContent(f"more than {_MAX_EXTENSIONS} extended tar headers before an entry")

    def _header(self) -> bytes | None:
        """The next header; None at the end of the archive."""
        block = self._stream.exactly_or_end(BLOCK)
        if not block:  # some writers leave out the two blocks that end an archive
            return None
        if block == _ZEROS:
            self._only_padding_follows()
            return None
        check_sum(block)
        return block

    def _only_padding_follows(self) -> None:
        while chunk := self._stream.some(OUTPUT):
            if chunk.tobytes().strip(b"\0"):
                raise MalformedContent("garbage after the end of the tar archive")

    def _extension(self, header: bytes) -> Mapping[str, bytes]:
        """What an extended header says of the next entry, under pax's keywords."""
        size = number(header[124:136], "size", MAX_SIZE)
        if size > _MAX_EXTENSION:
            raise MalformedContent(f"extended tar header of {size} bytes; {_MAX_EXTENSION} are accepted")
        content = self._stream.exactly(size)
        self._stream.skip(-size % BLOCK)
        match header[156:157]:
            case b"x":
                return pax_records(content)
            case b"L":
                return {"path": content.rstrip(b"\0")}
            case b"K":
                return {"linkpath": content.rstrip(b"\0")}
        return _NOTHING

    def _parse(self, block: bytes, pax: Mapping[str, bytes]) -> Entry:
        """The entry; its content comes next in the stream."""
        fields = unpack_fields(block)
        name, mode, uid, gid, size, mtime, _, typeflag, link, magic, major, minor, prefix = fields
        name = text(name)
        # GNU's magic is "ustar  ", and it keeps other things in the prefix' place.
        if prefix[0] and magic == b"ustar\0":
            name = text(prefix) + b"/" + name
        name = pax.get("path", name) if pax else name
        kind = _KINDS.get(typeflag)
        if kind is None:
            raise MalformedContent(f"tar entry {name!r} of unknown type {typeflag!r}")
        if typeflag == b"\0" and name.endswith(b"/"):  # how tar wrote directories before ustar
            kind = "directory"
        stored = number(size, "size", MAX_SIZE) if kind == "file" else 0
        device = _device(major, minor) if kind in ("char", "block") else (0, 0)
        entry = Entry(
            kind,
            name,
            text(link),
            number(mode, "mode", MAX_SIZE) & 0o7777,
            # A pax record replaces a field, which may then hold anything.
            0 if "uid" in pax else number(uid, "uid", MAX_ID),
            0 if "gid" in pax else number(gid, "gid", MAX_ID),
            stored,
            0 if "mtime" in pax else 10**9 * number(mtime, "mtime", MAX_SECONDS, -MAX_SECONDS),
            device,
            _NOTHING,
        )
        if pax or typeflag == b"S":
            entry, stored = self._extended(entry, block, typeflag, pax)
        self._unread, self._padding = stored, -stored % BLOCK
        return entry

    def _extended(
        self, entry: Entry, block: bytes, typeflag: bytes, pax: Mapping[str, bytes]
    ) -> tuple[Entry, int]:
        """The entry as its pax records and sparse map have it, and how many bytes it has stored."""
        is_file = entry.kind == "file"
        size = decimal(pax["size"], "size") if is_file and "size" in pax else entry.size
        stored, segments, name = size, None, entry.unsafe_name
        if is_file and sparse.is_sparse(typeflag, pax):
            segments, size, stored = sparse.read(block, typeflag, pax, self._stream, stored)
            name = pax.get("GNU.sparse.name", name)
        changed = entry._replace(
            unsafe_name=name,
            unsafe_link=pax.get("linkpath", entry.unsafe_link),
            uid=decimal(pax["uid"], "uid", MAX_ID) if "uid" in pax else entry.uid,
            gid=decimal(pax["gid"], "gid", MAX_ID) if "gid" in pax else entry.gid,
            size=size,
            mtime_ns=pax_time(pax["mtime"]) if "mtime" in pax else entry.mtime_ns,
            xattrs=xattrs(pax),
            segments=segments,
        )
        return changed, stored


def _device(major: bytes, minor: bytes) -> tuple[int, int]:
    # The kernel's dev_t has 12 bits for the major number and 20 for the minor.
    return number(major, "major", 0xFFF), number(minor, "minor", 0xFFFFF)
