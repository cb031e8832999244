"""The fields of tar headers: fixed blocks, and the pax records before them; tar(5), IEEE 1003.1 pax.

A header is parsed for every file of an image, so the common one costs few steps: one unpack of the
block, and one conversion a number.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from zlib import adler32

from provisioner.layer.stream import MalformedContent

BLOCK = 512
MAX_SIZE = 1 << 62
MAX_ID = 2**32 - 2  # -1 means "do not change" to chown(2)
MAX_SECONDS = 2**34 - 1  # what ext4 stores; enough until the year 2514
MAP = "GNU.sparse.map"

_SCHILY, _LIBARCHIVE = "SCHILY.xattr.", "LIBARCHIVE.xattr."
_HALF = BLOCK // 2

# name mode uid gid size mtime checksum typeflag link magic version - major minor prefix
_FIELDS = struct.Struct("100s8s8s8s12s12s8sc100s6s66x8s8s155s12x")
unpack_fields = _FIELDS.unpack


def check_sum(block: bytes) -> None:
    """The sum of all bytes, the checksum's own field counted as spaces. Raises MalformedContent."""
    stored = number(block[148:156], "checksum", MAX_SIZE)
    # Adler-32's lower half is 1 plus the sum modulo 65521, which 256 bytes cannot reach.
    total = (adler32(block[:_HALF]) & 0xFFFF) + (adler32(block[_HALF:]) & 0xFFFF) - 2
    unsigned = total - sum(block[148:156]) + 8 * ord(" ")
    if stored != unsigned:
        others = block[:148] + block[156:]
        # Old writers summed signed characters.
        if stored != unsigned - 256 * sum(byte > 127 for byte in others):
            raise MalformedContent("tar header with a wrong checksum")


def text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def number(field: bytes, what: str, maximum: int, minimum: int = 0) -> int:
    """An octal number; or, with the first bit set, GNU's two's complement in base 256."""
    digits = field.strip(b" \0")
    if digits.isdigit():
        try:
            value = int(digits, 8)
        except ValueError:  # 8 and 9 are digits too
            raise MalformedContent(f"tar header with the {what} {digits!r}") from None
    elif field[0] & 0x80:
        # The flag is not a part of the number; 0xff is its sign.
        value = int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
        value -= 1 << (8 * len(field) - 1) if field[0] & 0x40 else 0
    elif digits:
        raise MalformedContent(f"tar header with the {what} {digits!r}")
    else:
        value = 0
    return value if minimum <= value <= maximum else bounded(value, what, maximum, minimum)


def decimal(digits: bytes, what: str, maximum: int = MAX_SIZE) -> int:
    """A number in a pax record. Raises MalformedContent."""
    if not digits.isdigit() or len(digits) > 32:
        raise MalformedContent(f"tar header with the {what} {digits[:32]!r}")
    return bounded(int(digits), what, maximum)


def bounded(value: int, what: str, maximum: int, minimum: int = 0) -> int:
    if not minimum <= value <= maximum:
        raise MalformedContent(f"tar header with the {what} {value}")
    return value


def pax_time(value: bytes) -> int:
    """Nanoseconds of a decimal fraction of seconds, negative before 1970."""
    whole, _, fraction = value.removeprefix(b"-").partition(b".")
    seconds = decimal(whole, "mtime", MAX_SECONDS)
    nanoseconds = 10**9 * seconds + decimal(fraction[:9].ljust(9, b"0"), "mtime")
    return -nanoseconds if value.startswith(b"-") else nanoseconds


def pax_records(content: bytes) -> dict[str, bytes]:
    """`LENGTH KEY=VALUE\\n`, LENGTH in decimal and counting the whole record."""
    records: dict[str, bytes] = {}
    position = 0
    while position < len(content):
        digits = content[position : position + 20].partition(b" ")[0]
        end = position + decimal(digits, "pax length")
        key, equals, value = content[position + len(digits) + 1 : end - 1].partition(b"=")
        if not equals or content[end - 1 : end] != b"\n" or end > len(content):
            raise MalformedContent("malformed pax header")
        _record(records, key.decode("utf-8", "surrogateescape"), value)
        position = end
    return records


def _record(records: dict[str, bytes], key: str, value: bytes) -> None:
    if key in ("GNU.sparse.offset", "GNU.sparse.numbytes"):
        # Version 0.0 repeats these two, in turns; version 0.1 has all of them in one record.
        records[MAP] = records[MAP] + b"," + value if MAP in records else value
    elif value:
        records[key] = value
    else:  # an empty value takes back an earlier one
        records.pop(key, None)


def xattrs(pax: Mapping[str, bytes]) -> Mapping[str, bytes]:
    """Extended attributes as GNU tar and Go write them, or as bsdtar does: bsdtar writes both."""
    found: dict[str, bytes] = {}
    for key, value in pax.items():
        if key.startswith(_LIBARCHIVE):
            from urllib.parse import unquote

            found.setdefault(unquote(key.removeprefix(_LIBARCHIVE)), _base64(value))
        elif key.startswith(_SCHILY):
            found[key.removeprefix(_SCHILY)] = value
    return found


def _base64(value: bytes) -> bytes:
    """libarchive leaves the padding out."""
    from binascii import Error, a2b_base64

    try:
        return a2b_base64(value + b"=" * (-len(value) % 4))
    except Error as error:
        raise MalformedContent(f"extended attribute in malformed base 64: {error}") from error
