"""clone3(2): a child in new namespaces, and a pidfd for it. Needs Linux 5.7."""

from __future__ import annotations

import ctypes
import signal

from launcher.kernel.libc import syscall

_NR_CLONE3 = 435
_CLONE_PIDFD = 0x00001000
_CLONE_INTO_CGROUP = 0x200000000


class _CloneArgs(ctypes.Structure):
    """struct clone_args of linux/sched.h."""

    _fields_ = tuple(
        (name, ctypes.c_uint64)
        for name in (
            *("flags", "pidfd", "child_tid", "parent_tid", "exit_signal", "stack", "stack_size", "tls"),
            *("set_tid", "set_tid_size", "cgroup"),
        )
    )


def clone(flags: int, cgroup: int | None = None) -> tuple[int, int]:
    """Fork into the namespaces of `flags`. Returns (pid, pidfd), or (0, -1) in the child.

    `cgroup`: the descriptor of a v2 cgroup's directory that the child begins in.

    Like os.fork, without Python's after-fork handlers: only for a single-threaded process whose
    child ends in exec or os._exit. The pidfd is close-on-exec. Raises SyscallError.
    """
    pidfd = ctypes.c_int(-1)
    args = _CloneArgs(
        flags=flags | _CLONE_PIDFD | (0 if cgroup is None else _CLONE_INTO_CGROUP),
        pidfd=ctypes.addressof(pidfd),
        exit_signal=signal.SIGCHLD,
        cgroup=cgroup or 0,
    )
    size = ctypes.c_size_t(ctypes.sizeof(args))
    pid = syscall("clone3", _NR_CLONE3, f"flags {flags:#x}", ctypes.byref(args), size)
    return (pid, pidfd.value) if pid else (0, -1)
