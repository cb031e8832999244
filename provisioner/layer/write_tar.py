"""Write entries as a tar archive: ustar, and pax for what does not fit. IEEE 1003.1 pax; tar(5)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from provisioner.layer.tar import Entry

_BLOCK = 512
_RECORD = 20 * _BLOCK  # what an archive is filled up to, as tar does
_MAX_NUMBER = 0o7777777  # of an id: 7 octal digits
_MAX_SIZE = 0o77777777777
_MAX_TEXT = 100  # bytes
_TYPES = {
    "file": b"0",
    "hardlink": b"1",
    "symlink": b"2",
    "char": b"3",
    "block": b"4",
    "directory": b"5",
    "fifo": b"6",
}


class TarWriter:
    """Add the entries, then `finish`."""

    def __init__(self, write: Callable[[bytes], object], top: str = "") -> None:
        """`write` takes all that it is given. `top`: the name in the archive of the entry that has none."""
        self._sink = write
        self._top = os.fsencode(top)
        self._written = 0

    def add(self, entry: Entry, content: Iterable[bytes]) -> None:
        """Write one. Raises OSError."""
        name = self._name(entry.unsafe_name)
        link = self._name(entry.unsafe_link) if entry.kind == "hardlink" else entry.unsafe_link
        if entry.kind == "directory":
            name = (name or b".") + b"/"
        extended = _extended(entry, name, link)
        if extended:
            self._write(_header(b"x", b"PaxHeaders/extended", b"", len(extended)))
            self._write_padded([extended])
        self._write(_header(_TYPES[entry.kind], name, link, entry.size, entry))
        self._write_padded(content)

    def finish(self) -> None:
        """Write the end of the archive."""
        self._write(bytes(2 * _BLOCK))
        self._write(bytes(-self._written % _RECORD))

    def _name(self, name: bytes) -> bytes:
        return b"/".join(filter(None, (self._top, name)))

    def _write_padded(self, content: Iterable[bytes]) -> None:
        for chunk in content:
            self._write(chunk)
        self._write(bytes(-self._written % _BLOCK))

    def _write(self, data: bytes) -> None:
        self._written += len(data)
        self._sink(data)


def to_descriptor(descriptor: int) -> Callable[[bytes], None]:
    """The `write` of a TarWriter into an open file or pipe."""

    def write(data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]

    return write


def _extended(entry: Entry, name: bytes, link: bytes) -> bytes:
    """The pax records of what the header cannot hold."""
    seconds, nanoseconds = divmod(entry.mtime_ns, 10**9)
    records: dict[bytes, bytes] = {}
    if nanoseconds or not 0 <= seconds <= _MAX_SIZE:
        sign, whole = ("-", -entry.mtime_ns) if entry.mtime_ns < 0 else ("", entry.mtime_ns)
        records[b"mtime"] = f"{sign}{whole // 10**9}.{whole % 10**9:09}".encode()
    for key, text in ((b"path", name), (b"linkpath", link)):
        if len(text) > _MAX_TEXT or not text.isascii():
            records[key] = text
    for key, number, most in (
        (b"uid", entry.uid, _MAX_NUMBER),
        (b"gid", entry.gid, _MAX_NUMBER),
        (b"size", entry.size, _MAX_SIZE),
    ):
        if number > most:
            records[key] = str(number).encode()
    records |= {b"SCHILY.xattr." + os.fsencode(key): value for key, value in sorted(entry.xattrs.items())}
    return b"".join(_record(key, value) for key, value in records.items())


def _record(key: bytes, value: bytes) -> bytes:
    """`LENGTH KEY=VALUE\\n`, where LENGTH counts its own digits too."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)


def _header(kind: bytes, name: bytes, link: bytes, size: int, entry: Entry | None = None) -> bytes:
    mode, uid, gid, mtime = (entry.mode, entry.uid, entry.gid, entry.mtime_ns) if entry else (0o644, 0, 0, 0)
    major, minor = entry.device if entry else (0, 0)
    block = b"".join(
        (
            name[:_MAX_TEXT].ljust(_MAX_TEXT, b"\0"),
            *(_octal(number, 8) for number in (mode, uid, gid)),
            *(_octal(number, 12) for number in (size, mtime // 10**9)),
            b" " * 8,  # the checksum counts as spaces
            kind,
            link[:_MAX_TEXT].ljust(_MAX_TEXT, b"\0"),
            b"ustar\x0000".ljust(72, b"\0"),  # and no names of user and group
            *(_octal(number, 8) for number in (major, minor)),
        )
    ).ljust(_BLOCK, b"\0")
    return b"%s%06o\0 %s" % (block[:148], sum(block), block[156:])


def _octal(number: int, width: int) -> bytes:
    """0 where it does not fit: then an extended header says it."""
    fits = 0 <= number < 8 ** (width - 1)
    return b"%0*o\0" % (width - 1, number if fits else 0)
