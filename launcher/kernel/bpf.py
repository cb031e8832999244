"""bpf(2): programs of eBPF that decide for a cgroup of v2 which devices may be used.

See Documentation/bpf/prog_cgroup_*.rst and linux/bpf.h, and of the cgroup-v2 manual "Device controller".
A program is attached to a cgroup and goes with it; no descriptor has to be kept. Of several, in one cgroup
and in those above, each has to allow.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import struct
from collections.abc import Sequence

from launcher.kernel.libc import SyscallError, syscall

_NUMBERS = {"x86_64": 321, "aarch64": 280}  # asm/unistd.h

_PROG_LOAD, _PROG_ATTACH, _PROG_GET_FD_BY_ID, _OBJ_GET_INFO_BY_FD, _PROG_QUERY = 5, 8, 13, 15, 16
_PROG_TYPE_CGROUP_DEVICE = 15
_CGROUP_DEVICE = 6  # what it is attached as
_ALLOW_MULTI, _REPLACE = 1 << 1, 1 << 2

# Of union bpf_attr the beginning that a command looks at; the rest counts as zeros.
_LOAD = struct.Struct("=IIQQIIQII16sII")
_ATTACH = struct.Struct("=IIIII")
_QUERY = struct.Struct("=IIIIQII")
_INFO = struct.Struct("=IIQ")
_NAME = slice(64, 80)  # of struct bpf_prog_info
_MOST_ATTACHED = 64  # BPF_CGROUP_MAX_PROGS

_LICENSE = b"Apache-2.0\0"

# An instruction: operation, registers, offset, immediate value (struct bpf_insn).
Code = Sequence[tuple[int, int, int, int]]


@functools.cache
def is_supported() -> bool:
    """Whether this process may load such programs."""
    try:
        os.close(load([(0xB7, 0, 0, 1), (0x95, 0, 0, 0)], "probe"))  # return 1
    except OSError:
        return False
    return True


def load(code: Code, name: str) -> int:
    """A descriptor of the program, which the kernel has verified. Raises SyscallError."""
    program = struct.pack("=" + "BBhi" * len(code), *(part for instruction in code for part in instruction))
    text, license = ctypes.create_string_buffer(program), ctypes.create_string_buffer(_LICENSE)
    where = ctypes.addressof(text), ctypes.addressof(license)
    attributes = _LOAD.pack(
        *(_PROG_TYPE_CGROUP_DEVICE, len(code), *where),
        *(0, 0, 0, 0, 0),  # no log of the verifier's, no version, no flags
        *(name.encode(), 0, _CGROUP_DEVICE),
    )
    return _bpf(_PROG_LOAD, attributes, name)[0]


def attach(cgroup: str, program: int, name: str) -> None:
    """Have the program decide for the cgroup; in the place of the one of this name, at once, if there is one.

    Raises SyscallError.
    """
    directory = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    previous = -1
    try:
        previous = _attached(directory, name)
        flags = _ALLOW_MULTI if previous < 0 else _ALLOW_MULTI | _REPLACE
        attributes = _ATTACH.pack(directory, program, _CGROUP_DEVICE, flags, max(previous, 0))
        _bpf(_PROG_ATTACH, attributes, cgroup)
    finally:
        os.close(directory)
        if previous >= 0:
            os.close(previous)


def _attached(directory: int, name: str) -> int:
    """A descriptor of the program of this name in the cgroup itself; -1 without one."""
    numbers = (ctypes.c_uint32 * _MOST_ATTACHED)()
    query = _QUERY.pack(directory, _CGROUP_DEVICE, 0, 0, ctypes.addressof(numbers), _MOST_ATTACHED, 0)
    _, answer = _bpf(_PROG_QUERY, query, "the programs of a cgroup")
    for number in numbers[: _QUERY.unpack(answer)[5]]:
        try:
            program, _ = _bpf(_PROG_GET_FD_BY_ID, struct.pack("=III", number, 0, 0), f"program {number}")
        except SyscallError as error:
            if error.errno == errno.ENOENT:  # somebody has detached it just now
                continue
            raise
        if _name(program) == name:
            return program
        os.close(program)
    return -1


def _name(program: int) -> str:
    info = ctypes.create_string_buffer(_NAME.stop)
    _bpf(_OBJ_GET_INFO_BY_FD, _INFO.pack(program, _NAME.stop, ctypes.addressof(info)), "a program")
    return info.raw[_NAME].rstrip(b"\0").decode(errors="replace")


def _bpf(command: int, attributes: bytes, on: str) -> tuple[int, bytes]:
    """The result, and the attributes as the kernel has left them."""
    number = _NUMBERS.get(os.uname().machine)
    if number is None:
        raise SyscallError("bpf", errno.ENOSYS, on)
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    result = syscall("bpf", number, on, ctypes.c_int(command), buffer, ctypes.c_uint(len(attributes)))
    return result, buffer.raw
