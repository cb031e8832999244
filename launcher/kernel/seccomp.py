"""seccomp(2): hand the kernel a filter of system calls, which no process can take off again.

The filter is a program of classic BPF, ready as bytes: struct sock_filter of linux/filter.h in the
byte order of this machine. Whoever wants one compiles it elsewhere, before the clone.
"""

from __future__ import annotations

import ctypes
import struct

from launcher.kernel.libc import function

ACTIONS = "/proc/sys/kernel/seccomp/actions_avail"  # Linux 4.14, with CONFIG_SECCOMP_FILTER

INSTRUCTION = 8  # bytes, of struct sock_filter
MAX_INSTRUCTIONS = 4096  # BPF_MAXINSNS

_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2


_SOCK_FPROG = "@HP"  # of linux/filter.h: length in instructions, their address

_prctl = function("prctl", ctypes.c_int, *[ctypes.c_ulong] * 4)  # as prctl.py has it: one C function


def load(program: bytes) -> None:
    """Filter the system calls of this process, and of all that it will start, from here on.

    Needs no-new-privileges, or CAP_SYS_ADMIN in the process's user namespace. Raises OSError: EACCES
    where neither is there, EINVAL for a program that the kernel does not accept.
    """
    instructions = ctypes.create_string_buffer(program, len(program))
    packed = struct.pack(_SOCK_FPROG, len(program) // INSTRUCTION, ctypes.addressof(instructions))
    fprog = ctypes.create_string_buffer(packed, len(packed))
    _prctl("PR_SET_SECCOMP", _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(fprog), 0, 0)


def is_supported() -> bool:
    """Whether the kernel filters system calls, and knows every answer that our filters give."""
    try:
        with open(ACTIONS) as file:
            return {"allow", "errno", "kill_process"} <= set(file.read().split())
    except OSError:
        return False
