"""Reads /etc/ld.so.cache: where the host's dynamic linker finds a library.

The format is glibc's, of sysdeps/generic/dl-cache.h: a header, entries of fixed size, and strings that
they point to. An older format may come first, and is passed over. It is the host's own file, yet each
offset is checked: a torn one is an error and not a wrong path.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping

from launcher.errors import ContainerizerError

PATH = "/etc/ld.so.cache"

_OLD_MAGIC = b"ld.so-1.7.0"
_OLD_HEADER, _OLD_ENTRY = 16, 12
_ALIGNMENT = 8
_MAGIC = b"glibc-ld.so.cache1.1"
_HEADER = struct.Struct("<20sII20x")  # magic, number of entries, length of the strings; flags and extensions
_ENTRY = struct.Struct("<iIIIQ")  # flags, name, path, OS version, hardware

# FLAG_ELF_LIBC6 and the architecture's bits, by the names of uname(2).
FLAGS = {"x86_64": 0x0303, "aarch64": 0x0A03}


class InvalidLibraryCache(ContainerizerError):
    """The cache is not what ldconfig(8) writes."""


def read(path: str = PATH, machine: str = "") -> Mapping[str, str]:
    """Soname → path, of the libraries for this machine; of several the first, which the linker prefers.

    Raises InvalidLibraryCache, and OSError if there is no such file.
    """
    with open(path, "rb") as file:
        return parse(file.read(), machine or os.uname().machine)


def parse(cache: bytes, machine: str) -> Mapping[str, str]:
    """Raises InvalidLibraryCache."""
    wanted = FLAGS.get(machine)
    base = _start(cache)
    try:
        magic, count, _ = _HEADER.unpack_from(cache, base)
        if magic != _MAGIC:
            raise InvalidLibraryCache("the library cache is in no known format", hint="run ldconfig")
        entries = [_ENTRY.unpack_from(cache, base + _HEADER.size + n * _ENTRY.size) for n in range(count)]
    except struct.error as error:
        raise InvalidLibraryCache("the library cache is cut short", hint="run ldconfig") from error
    found: dict[str, str] = {}
    for flags, name, path, _, _ in entries:
        if flags == wanted:
            found.setdefault(_text(cache, base + name), _text(cache, base + path))
    return found


def _start(cache: bytes) -> int:
    if not cache.startswith(_OLD_MAGIC):
        return 0
    if len(cache) < _OLD_HEADER:
        raise InvalidLibraryCache("the library cache is cut short", hint="run ldconfig")
    (count,) = struct.unpack_from("<I", cache, _OLD_HEADER - 4)
    end: int = _OLD_HEADER + count * _OLD_ENTRY
    return -(-end // _ALIGNMENT) * _ALIGNMENT


def _text(cache: bytes, offset: int) -> str:
    end = cache.find(b"\0", offset)
    if offset >= len(cache) or end < 0:
        raise InvalidLibraryCache("a string of the library cache lies outside of it", hint="run ldconfig")
    return os.fsdecode(cache[offset:end])
