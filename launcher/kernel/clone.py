"""clone3(2): a child in new namespaces, and a pidfd for it. Needs Linux 5.3."""

from __future__ import annotations

import ctypes
import signal

from launcher.kernel.libc import syscall

_NR_CLONE3 = 435
_CLONE_PIDFD = 0x00001000


class _CloneArgs(ctypes.Structure):
    """struct clone_args of linux/sched.h, up to its first published size (64 bytes)."""

    _fields_ = tuple(
        (name, ctypes.c_uint64)
        for name in ("flags", "pidfd", "child_tid", "parent_tid", "exit_signal", "stack", "stack_size", "tls")
    )


def clone(flags: int) -> tuple[int, int]:
    """Fork into the namespaces of `flags`. Returns (pid, pidfd), or (0, -1) in the child.

    Like os.fork, without Python's after-fork handlers: only for a single-threaded process whose
    child ends in exec or os._exit. The pidfd is close-on-exec. Raises SyscallError.
    """
    pidfd = ctypes.c_int(-1)
    args = _CloneArgs(
        flags=flags | _CLONE_PIDFD,
        pidfd=ctypes.addressof(pidfd),
        exit_signal=signal.SIGCHLD,
    )
    size = ctypes.c_size_t(ctypes.sizeof(args))
    pid = syscall("clone3", _NR_CLONE3, f"flags {flags:#x}", ctypes.byref(args), size)
    return (pid, pidfd.value) if pid else (0, -1)
