"""Sparse files in tar: which parts of a file the archive has; GNU tar manual, "Storing Sparse Files".

Four ways to write the same map, in the order of their age: in the header itself and blocks after it
(type S); in repeated pax records (0.0); in one (0.1); in front of the content (1.0).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Protocol

from provisioner.layer.stream import OUTPUT, ByteStream, MalformedContent
from provisioner.layer.tar_header import BLOCK, MAP, MAX_SIZE, decimal, number

Segments = tuple[tuple[int, int], ...]  # offset and length of what is stored, in bytes, ascending

_MAX_SEGMENTS = 1 << 16
_PAIR = 24  # bytes of an offset and a length in octal
_DIGITS = 32  # of a number in a map of version 1.0, at most


def is_sparse(typeflag: bytes, pax: Mapping[str, bytes]) -> bool:
    return typeflag == b"S" or any(key.startswith("GNU.sparse.") for key in pax)


def read(
    block: bytes, typeflag: bytes, pax: Mapping[str, bytes], stream: ByteStream, stored: int
) -> tuple[Segments, int, int]:
    """The map, the file's size, and how many of its `stored` bytes are still in the stream.

    Raises MalformedContent for a map that contradicts itself or the sizes.
    """
    if typeflag == b"S":
        numbers, size = _old(block, stream)
    elif pax.get("GNU.sparse.major") == b"1" and pax.get("GNU.sparse.minor") == b"0":
        numbers, used = _in_front(stream, stored)
        stored -= used
        size = decimal(pax.get("GNU.sparse.realsize", b"-"), "size of a sparse file")
    else:
        values = pax[MAP].split(b",") if pax.get(MAP) else []
        numbers = [decimal(value, "sparse map") for value in values]
        size = decimal(pax.get("GNU.sparse.size", b"-"), "size of a sparse file")
    return _checked(numbers, size, stored), size, stored


class Sparse(Protocol):
    """A file of which a part is stored."""

    @property
    def size(self) -> int: ...
    @property
    def segments(self) -> Segments | None: ...


def placed(file: Sparse, stored: Iterable[memoryview]) -> Iterator[tuple[int, memoryview]]:
    """What is stored, with the offset at which each piece of it belongs."""
    chunks = iter(stored)
    chunk = memoryview(b"")
    for offset, left in file.segments or ():
        while left:
            chunk = chunk or next(chunks)
            piece = chunk[:left]
            yield offset, piece
            chunk, offset, left = chunk[len(piece) :], offset + len(piece), left - len(piece)


def filled(file: Sparse, stored: Iterable[memoryview]) -> Iterator[memoryview]:
    """The whole content of the file, its holes as zeros."""
    zeros = memoryview(bytes(OUTPUT))
    position = 0
    for offset, piece in chain(placed(file, stored), ((file.size, zeros[:0]),)):
        while position < offset:
            hole = zeros[: offset - position]
            yield hole
            position += len(hole)
        if piece:
            yield piece
        position += len(piece)


def _old(block: bytes, stream: ByteStream) -> tuple[list[int], int]:
    """Four pairs in the header, and 21 in each block after it as long as a flag says so."""
    size = number(block[483:495], "size of a sparse file", MAX_SIZE)
    numbers = _pairs(block[386:482])
    more = block[482]
    while more:
        block = stream.exactly(BLOCK)
        numbers += _pairs(block[:504])
        more = block[504]
        _bound(len(numbers) // 2)
    return numbers, size


def _pairs(table: bytes) -> list[int]:
    numbers = []
    for start in range(0, len(table), _PAIR):
        if not table[start]:  # an unused pair ends the table
            break
        numbers.append(number(table[start : start + 12], "sparse map", MAX_SIZE))
        numbers.append(number(table[start + 12 : start + _PAIR], "sparse map", MAX_SIZE))
    return numbers


def _in_front(stream: ByteStream, stored: int) -> tuple[list[int], int]:
    """A count and so many pairs, a decimal number a line, filled up to a whole block."""
    text, used, wanted = b"", 0, 1
    lines: list[bytes] = []
    while len(lines) < wanted:
        if used + BLOCK > stored:
            raise MalformedContent("sparse map is longer than its file's content")
        text += stream.exactly(BLOCK)
        used += BLOCK
        *complete, text = text.split(b"\n")
        lines += complete
        if lines:
            count = decimal(lines[0], "sparse map")
            _bound(count)
            wanted = 1 + 2 * count
        if len(text) > _DIGITS and len(lines) < wanted:
            raise MalformedContent("malformed sparse map")
    return [decimal(line, "sparse map") for line in lines[1:wanted]], used


def _bound(segments: int) -> None:
    if segments > _MAX_SEGMENTS:
        raise MalformedContent(f"sparse file with more than {_MAX_SEGMENTS} segments")


def _checked(numbers: Sequence[int], size: int, stored: int) -> Segments:
    segments = tuple(zip(numbers[::2], numbers[1::2], strict=False))
    _bound(len(segments))
    end = 0
    for offset, length in segments:
        if offset < end:
            raise MalformedContent("sparse map whose segments are not in order")
        end = offset + length
    if len(numbers) % 2 or end > size or sum(length for _, length in segments) != stored:
        raise MalformedContent("sparse map that contradicts its file's size")
    return segments
