"""TarReader: the entries of a tar archive, read as a stream and trusted in nothing.

POSIX ustar and pax (IEEE 1003.1, pax), with GNU's long names and base-256 numbers; tar(5). Where
formats leave a choice, this follows Go's archive/tar, since Docker wrote most images with it: a
link or directory has no content whatever its size says, and global pax headers are ignored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from launcher.data import Data
from provisioner.layer.stream import OUTPUT, ByteStream, MalformedContent

_BLOCK = 512
_MAX_EXTENSION = 1 << 20  # bytes of one pax header or long name: PATH_MAX and xattrs fit many times
_MAX_EXTENSIONS = 8  # of one entry: a long name, a long link and a pax header are three
_MAX_SIZE = 1 << 62
_MAX_ID = 2**32 - 2  # -1 means "do not change" to chown(2)
_MAX_SECONDS = 2**34 - 1  # what ext4 stores; enough until the year 2514

_ZEROS = bytes(_BLOCK)
_XATTR = "SCHILY.xattr."

# typeflag → kind. "7" is a contiguous file, which no system tells from a regular one.
_KINDS: Mapping[bytes, str] = {
    b"0": "file",
    b"\0": "file",
    b"7": "file",
    b"1": "hardlink",
    b"2": "symlink",
    b"3": "char",
    b"4": "block",
    b"5": "directory",
    b"6": "fifo",
}


class Entry(Data, kw_only=True):
    """One member of the archive. Name and link are as written: absolute, with `..`, anything."""

    kind: str  # a value of _KINDS
    unsafe_name: bytes
    unsafe_link: bytes  # target of a symlink; name in the archive for a hardlink
    mode: int  # permission bits with setuid, setgid and sticky
    uid: int
    gid: int
    size: int  # bytes of content; 0 unless a file
    mtime_ns: int
    device: tuple[int, int]  # major, minor
    xattrs: Mapping[str, bytes]


class TarReader:
    """Iterate over it for the entries; `content` is that of the entry given last."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._unread = 0  # bytes of content not yet taken
        self._padding = 0

    def __iter__(self) -> Iterator[Entry]:
        """Raises MalformedContent."""
        while (headers := self._headers()) is not None:
            entry = _entry(*headers)
            self._expect(entry.size)
            yield entry
            self._stream.skip(self._unread)
            self._stream.skip_at_most(self._padding)  # umoci writes none after the last file

    def content(self) -> Iterator[memoryview]:
        """The chunks of the current entry; what is not taken is skipped."""
        while self._unread:
            chunk = self._stream.some(min(self._unread, OUTPUT))
            if not chunk:
                raise MalformedContent("tar archive ends in the middle of a file")
            self._unread -= len(chunk)
            yield chunk

    def _expect(self, size: int) -> None:
        self._unread = size
        self._padding = -size % _BLOCK

    def _headers(self) -> tuple[bytes, dict[str, bytes]] | None:
        """An entry's own header, and what the extended headers before it say."""
        pax: dict[str, bytes] = {}
        for _ in range(_MAX_EXTENSIONS):
            header = self._header()
            if header is None:
                return None
            if header[156:157] not in b"xgLK":
                return header, pax
            pax.update(self._extension(header))
        raise MalformedContent(f"more than {_MAX_EXTENSIONS} extended tar headers before an entry")

    def _header(self) -> bytes | None:
        """The next header; None at the end of the archive."""
        first = self._stream.some(_BLOCK)
        if not first:  # some writers leave out the two blocks that end an archive
            return None
        block = bytes(first) + self._stream.exactly(_BLOCK - len(first))
        if block == _ZEROS:
            self._only_padding_follows()
            return None
        _check_sum(block)
        return block

    def _only_padding_follows(self) -> None:
        while chunk := self._stream.some(OUTPUT):
            if chunk.tobytes().strip(b"\0"):
                raise MalformedContent("garbage after the end of the tar archive")

    def _extension(self, header: bytes) -> dict[str, bytes]:
        """What an extended header says of the next entry, under pax's keywords."""
        size = _number(header, 124, 12, "size", _MAX_SIZE)
        if size > _MAX_EXTENSION:
            raise MalformedContent(f"extended tar header of {size} bytes; {_MAX_EXTENSION} are accepted")
        content = self._stream.exactly(size)
        self._stream.skip(-size % _BLOCK)
        match header[156:157]:
            case b"x":
                return _pax_records(content)
            case b"L":
                return {"path": content.rstrip(b"\0")}
            case b"K":
                return {"linkpath": content.rstrip(b"\0")}
        return {}


def _check_sum(block: bytes) -> None:
    """The sum of all bytes, the checksum's own field counted as spaces; old writers summed signed."""
    stored = _number(block, 148, 8, "checksum", _MAX_SIZE)
    others = block[:148] + b" " * 8 + block[156:]
    unsigned = sum(others)
    if stored not in (unsigned, unsigned - 256 * sum(byte > 127 for byte in others)):
        raise MalformedContent("tar header with a wrong checksum")


def _entry(header: bytes, pax: Mapping[str, bytes]) -> Entry:
    typeflag = header[156:157]
    if typeflag == b"S" or any(key.startswith("GNU.sparse.") for key in pax):
        raise MalformedContent(f"sparse file {_name(header, pax)!r}, which is not supported yet")
    kind = _KINDS.get(typeflag)
    if kind is None:
        raise MalformedContent(f"tar entry {_name(header, pax)!r} of unknown type {typeflag!r}")
    name = _name(header, pax)
    if typeflag == b"\0" and name.endswith(b"/"):  # how tar wrote directories before ustar
        kind = "directory"
    return Entry(
        kind=kind,
        unsafe_name=name,
        unsafe_link=pax.get("linkpath", _text(header, 157, 100)),
        mode=_number(header, 100, 8, "mode", _MAX_SIZE) & 0o7777,
        uid=_pax_number(pax, "uid", header, 108, 8, _MAX_ID),
        gid=_pax_number(pax, "gid", header, 116, 8, _MAX_ID),
        size=_pax_number(pax, "size", header, 124, 12, _MAX_SIZE) if kind == "file" else 0,
        mtime_ns=_mtime(header, pax),
        device=_device(header) if kind in ("char", "block") else (0, 0),
        xattrs=_xattrs(pax),
    )


def _name(header: bytes, pax: Mapping[str, bytes]) -> bytes:
    if "path" in pax:
        return pax["path"]
    name, prefix = _text(header, 0, 100), _text(header, 345, 155)
    # GNU's magic is "ustar  ", and it keeps other things in the prefix' place.
    return prefix + b"/" + name if prefix and header[257:263] == b"ustar\0" else name


def _device(header: bytes) -> tuple[int, int]:
    # The kernel's dev_t has 12 bits for the major number and 20 for the minor.
    return _number(header, 329, 8, "major", 0xFFF), _number(header, 337, 8, "minor", 0xFFFFF)


def _text(header: bytes, start: int, length: int) -> bytes:
    return header[start : start + length].partition(b"\0")[0]


def _number(header: bytes, start: int, length: int, what: str, maximum: int, minimum: int = 0) -> int:
    """An octal number; or, with the first bit set, GNU's two's complement in base 256."""
    field = header[start : start + length]
    if field[0] & 0x80:
        # The flag is not a part of the number; 0xff is its sign.
        value = int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
        value -= 1 << (8 * length - 1) if field[0] & 0x40 else 0
    else:
        value = _parse(field.strip(b" \0") or b"0", 8, what)
    return _bounded(value, what, maximum, minimum)


def _pax_number(
    pax: Mapping[str, bytes], key: str, header: bytes, start: int, length: int, maximum: int
) -> int:
    if key in pax:
        return _bounded(_parse(pax[key], 10, key), key, maximum, 0)
    return _number(header, start, length, key, maximum)


def _parse(digits: bytes, base: int, what: str) -> int:
    if not digits.isdigit() or len(digits) > 32:
        raise MalformedContent(f"tar header with the {what} {digits[:32]!r}")
    try:
        return int(digits, base)
    except ValueError:  # 8 and 9 are digits too
        raise MalformedContent(f"tar header with the {what} {digits!r}") from None


def _bounded(value: int, what: str, maximum: int, minimum: int) -> int:
    if not minimum <= value <= maximum:
        raise MalformedContent(f"tar header with the {what} {value}")
    return value


def _mtime(header: bytes, pax: Mapping[str, bytes]) -> int:
    """Nanoseconds; pax writes seconds as a decimal fraction, negative before 1970."""
    if "mtime" not in pax:
        return 10**9 * _number(header, 136, 12, "mtime", _MAX_SECONDS, -_MAX_SECONDS)
    text = pax["mtime"]
    whole, _, fraction = text.removeprefix(b"-").partition(b".")
    seconds = _bounded(_parse(whole, 10, "mtime"), "mtime", _MAX_SECONDS, 0)
    nanoseconds = 10**9 * seconds + _parse(fraction[:9].ljust(9, b"0"), 10, "mtime")
    return -nanoseconds if text.startswith(b"-") else nanoseconds


def _xattrs(pax: Mapping[str, bytes]) -> Mapping[str, bytes]:
    return {key.removeprefix(_XATTR): value for key, value in pax.items() if key.startswith(_XATTR)}


def _pax_records(content: bytes) -> dict[str, bytes]:
    """`LENGTH KEY=VALUE\\n`, LENGTH in decimal and counting the whole record."""
    records: dict[str, bytes] = {}
    position = 0
    while position < len(content):
        digits = content[position : position + 20].partition(b" ")[0]
        end = position + _parse(digits, 10, "pax length")
        key, equals, value = content[position + len(digits) + 1 : end - 1].partition(b"=")
        if not equals or content[end - 1 : end] != b"\n" or end > len(content):
            raise MalformedContent("malformed pax header")
        name = key.decode("utf-8", "surrogateescape")
        if value:
            records[name] = value
        else:  # an empty value takes back an earlier one
            records.pop(name, None)
        position = end
    return records
