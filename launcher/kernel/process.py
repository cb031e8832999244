"""What the kernel keeps of one process: input/output priority, personality, OOM score adjustment."""

from __future__ import annotations

import ctypes
import errno
import os

from launcher.kernel.libc import SyscallError, function, syscall

OOM_SCORE_ADJ = "/proc/self/oom_score_adj"

_IOPRIO_SET = {"x86_64": 251, "aarch64": 30, "riscv64": 30, "ppc64le": 273, "s390x": 282}
_IOPRIO_WHO_PROCESS = 1
_IOPRIO_CLASS_SHIFT = 13

_personality = function("personality", ctypes.c_ulong)


def set_io_priority(io_class: int, level: int) -> None:
    """ioprio_set(2), which glibc does not wrap, of the caller. Raises SyscallError."""
    text = f"class {io_class} level {level}"
    number = _IOPRIO_SET.get(os.uname().machine)
    if number is None:
        raise SyscallError("ioprio_set", errno.ENOSYS, text)
    value = ctypes.c_int(io_class << _IOPRIO_CLASS_SHIFT | level)
    syscall("ioprio_set", number, text, ctypes.c_int(_IOPRIO_WHO_PROCESS), ctypes.c_int(0), value)


def set_personality(persona: int) -> None:
    """personality(2) of the caller; inherited, and kept by execve(2). Raises SyscallError."""
    _personality(f"{persona:#x}", persona)


def oom_score_adj() -> int:
    """The caller's. Raises OSError."""
    with open(OOM_SCORE_ADJ, "rb", buffering=0) as file:
        return int(file.read())


def set_oom_score_adj(value: int) -> None:
    """The caller's. Lower than a privileged process once set needs CAP_SYS_RESOURCE. Raises OSError."""
    with open(OOM_SCORE_ADJ, "wb", buffering=0) as file:
        file.write(str(value).encode())
