"""The part of classic BPF that filters of system calls use, interpreted: linux/bpf_common.h."""

from __future__ import annotations

import struct
from collections.abc import Sequence

_JUMPS = {0x15: int.__eq__, 0x25: int.__gt__, 0x35: int.__ge__, 0x45: int.__and__}


def run(program: bytes, architecture: int, number: int, arguments: Sequence[int] = ()) -> int:
    """What the kernel would be answered for this call."""
    padded = (*arguments, *[0] * (6 - len(arguments)))
    data = struct.pack("=IIQ6Q", number & 0xFFFFFFFF, architecture, 0, *padded)
    instructions = list(struct.iter_unpack("=HBBI", program))
    accumulator = at = 0
    while True:
        code, yes, no, value = instructions[at]
        at += 1
        if code == 0x20:
            assert value % 4 == 0
            (accumulator,) = struct.unpack_from("=I", data, value)
        elif code == 0x54:
            accumulator &= value
        elif code == 0x05:
            at += value
        elif code == 0x06:
            return int(value)
        else:
            at += yes if _JUMPS[code](accumulator, value) else no
