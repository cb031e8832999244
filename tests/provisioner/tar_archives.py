"""Archives with something of everything, for those who change them at random."""

from __future__ import annotations

import tarfile  # noqa: TID251 - writes archives for tests

from tests.support.images import archive, directory, entry, hardlink, symlink

_BLOCK = 512
_CHECKSUM = slice(148, 156)

_MEMBERS = [
    directory("d/", mode=0o2755, uid=3_000_000),
    entry("d/file", b"x" * 700, mode=0o4755),
    entry("n/" * 120 + "f", b"long"),
    symlink("d/link", "../anything"),
    hardlink("d/hard", "d/file"),
    entry("d/.wh.gone"),
    entry("d/.wh..wh..opq"),
    entry("d/fifo", kind=tarfile.FIFOTYPE),
    entry("d/file", b"again"),
]
_PAX = [
    entry("f", pax={"mtime": "-1.5", "SCHILY.xattr.user.k": "v", "LIBARCHIVE.xattr.user.l": "eA"}),
    entry("s", b"abc", pax={"GNU.sparse.map": "5,3", "GNU.sparse.size": "20", "GNU.sparse.name": "t"}),
    entry("z", b"1\n4\n2\n" + bytes(506) + b"hi", pax={"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}),
]
VARIED = [
    archive(_MEMBERS, form=tarfile.GNU_FORMAT),
    archive(_MEMBERS, form=tarfile.PAX_FORMAT),
    archive(_PAX, form=tarfile.PAX_FORMAT),
]


def with_checksums(content: bytes) -> bytes:
    """The archive with a right checksum in each block that looks like a header: changes get further."""
    blocks = [content[start : start + _BLOCK] for start in range(0, len(content), _BLOCK)]
    return b"".join(_mended(block) if b"ustar" in block[257:263] else block for block in blocks)


def _mended(block: bytes) -> bytes:
    if len(block) < _BLOCK:
        return block
    header = bytearray(block)
    header[_CHECKSUM] = b" " * 8
    header[_CHECKSUM] = b"%06o\0 " % sum(header)
    return bytes(header)
