"""A small static program that makes system calls one after the other, for images that have no compiler.

    elf = system_calls.program(("open", b"/etc/passwd", O_RDONLY), ("dup", Result(0)))

An argument is a number, the address of constant bytes, or what an earlier call has returned. The program
prints what each call has returned, as 16 hexadecimal digits a line, and ends with 0. Of x86_64 only.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from isolators.linux.syscalls import numbers

on_x86_64 = pytest.mark.skipif(os.uname().machine != "x86_64", reason="the attackers' programs are of x86_64")

_BASE = 0x400000
_MOVE = (b"\x48\xbf", b"\x48\xbe", b"\x48\xba", b"\x49\xba", b"\x49\xb8", b"\x49\xb9")  # movabs rdi, N …
_LOAD = (b"\x48\x8b\x3c\x25", b"\x48\x8b\x34\x25", b"\x48\x8b\x14\x25")  # mov rdi, [address] …
_LOAD_MORE = (b"\x4c\x8b\x14\x25", b"\x4c\x8b\x04\x25", b"\x4c\x8b\x0c\x25")  # mov r10, [address] …
_MOVE_NUMBER = b"\x48\xb8"  # movabs rax, N
_CALL = b"\x0f\x05"  # syscall
_STORE = b"\x48\x89\x04\x25"  # mov [address], rax

# rsi: the results, rdi: where their text goes, ecx: how many. For each: sixteen times the upper four bits
# as a digit, and a line feed.
_WRITE_TEXT = bytes.fromhex(
    "488b06 ba10000000 48c1c004 89c3 83e30f 80fb0a 7203 80c327 80c330 881f 48ffc7 ffca 75e3"
    "c6070a 48ffc7 4883c608 ffc9 75cd"
)
_LINE = 17


@dataclass(frozen=True)
class Result:
    """What the call of this place has returned."""

    place: int


@dataclass(frozen=True)
class Buffer:
    """The address of this many zeros."""

    size: int


Argument = int | bytes | Result | Buffer
Call = tuple[str | int | Argument, ...]


def program(*calls: Call) -> bytes:
    """The file. A call is its name or number, and up to six arguments."""
    data = _Data(calls)
    code = b"".join(_call(call, data, place) for place, call in enumerate(calls))
    whole = code + _ending(data, len(calls))
    assert len(whole) < _Data.SPACE
    size = _Data.SPACE + len(data.content)
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        *(b"\x7fELF\x02\x01\x01", 2, 62, 1, _BASE + 120, 64, 0, 0, 64, 56, 1, 0, 0, 0),
    )
    segment = struct.pack("<IIQQQQQQ", 1, 7, 0, _BASE, _BASE, size, size, 4096)
    return (header + segment + whole).ljust(_Data.SPACE, b"\0") + data.content


def results(text: str) -> list[int]:
    """What it has printed: a result each, a negative one being an errno."""
    return [struct.unpack(">q", bytes.fromhex(line))[0] for line in text.split()]


class _Data:
    """What lies behind the code: results, their text, constants and buffers."""

    SPACE = 16384  # bytes, of headers and code

    def __init__(self, calls: Sequence[Call]) -> None:
        self.results = _BASE + self.SPACE
        self.text = self.results + 8 * len(calls)
        self.content = bytes((8 + _LINE) * len(calls))
        self.places: dict[tuple[int, int], int] = {}  # of a call's argument → its address
        for place, call in enumerate(calls):
            for number, argument in enumerate(call[1:]):
                if isinstance(argument, (bytes, Buffer)):
                    content = bytes(argument.size) if isinstance(argument, Buffer) else argument + b"\0"
                    self.places[place, number] = self.results + len(self.content)
                    self.content += content + bytes(-len(content) % 8)


def _call(call: Call, data: _Data, place: int) -> bytes:
    name, *arguments = call
    code = b""
    for number, argument in enumerate(arguments):
        if isinstance(argument, Result):
            code += (_LOAD + _LOAD_MORE)[number] + struct.pack("<I", data.results + 8 * argument.place)
        elif isinstance(argument, (bytes, Buffer)):
            code += _MOVE[number] + struct.pack("<Q", data.places[place, number])
        else:
            assert isinstance(argument, int)
            code += _MOVE[number] + struct.pack("<Q", argument & (1 << 64) - 1)
    number_of_call = numbers("x86_64")[name] if isinstance(name, str) else name
    assert isinstance(number_of_call, int)
    code += _MOVE_NUMBER + struct.pack("<Q", number_of_call) + _CALL
    return code + _STORE + struct.pack("<I", data.results + 8 * place)


def _ending(data: _Data, count: int) -> bytes:
    """Print, and end."""
    code = _MOVE[1] + struct.pack("<Q", data.results) + _MOVE[0] + struct.pack("<Q", data.text)
    code += b"\xb9" + struct.pack("<I", count) + _WRITE_TEXT  # mov ecx, count
    for name, *arguments in (("write", 1, data.text, _LINE * count), ("exit_group", 0)):
        for number, argument in enumerate(arguments):
            code += _MOVE[number] + struct.pack("<Q", int(argument))
        code += _MOVE_NUMBER + struct.pack("<Q", numbers("x86_64")[str(name)]) + _CALL
    return code
