"""clone3(2): a child in new namespaces, and a pidfd for it. Needs Linux 5.7."""

from __future__ import annotations

import ctypes
import signal

from launcher.kernel.libc import syscall

_NR_CLONE3 = 435
CLONE_PIDFD = 0x00001000
CLONE_PARENT = 0x00008000
CLONE_INTO_CGROUP = 0x200000000


class CloneArgs(ctypes.Structure):
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
    args = CloneArgs(
        flags=flags | (0 if cgroup is None else CLONE_INTO_CGROUP),
        exit_signal=signal.SIGCHLD,
        cgroup=cgroup or 0,
    )
    return _clone(args)


def clone_sibling(flags: int, cgroup: int | None = None) -> tuple[int, int]:
    """As `clone`, but the new process' parent is the caller's, which is told of its end."""
    flags |= CLONE_PARENT | (0 if cgroup is None else CLONE_INTO_CGROUP)
    return _clone(CloneArgs(flags=flags, cgroup=cgroup or 0))  # the signal is the caller's own


def pid_of(pidfd: int) -> int:
    """The pid, here, of a process that was cloned in whatever PID namespace; -1 once it was collected."""
    with open(f"/proc/self/fdinfo/{pidfd}") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pid:"))


def _clone(args: CloneArgs) -> tuple[int, int]:
    pidfd = ctypes.c_int(-1)
    args.flags |= CLONE_PIDFD
    args.pidfd = ctypes.addressof(pidfd)
    size = ctypes.c_size_t(ctypes.sizeof(args))
    pid = syscall("clone3", _NR_CLONE3, f"flags {args.flags:#x}", ctypes.byref(args), size)
    return (pid, pidfd.value) if pid else (0, -1)
