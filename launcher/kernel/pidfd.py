"""pidfd_getfd(2): what one process may take of another."""

from __future__ import annotations

import ctypes

from launcher.kernel.libc import syscall

_NR_PIDFD_GETFD = 438


def descriptor_of(pidfd: int, number: int) -> int:
    """A duplicate, close-on-exec, of a descriptor of that process. Raises OSError.

    Needs what ptrace(2) needs to attach: CAP_SYS_PTRACE.
    """
    on = f"descriptor {number}"
    return syscall("pidfd_getfd", _NR_PIDFD_GETFD, on, *map(ctypes.c_int, (pidfd, number, 0)))
