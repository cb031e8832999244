"""clone3(2): its flags, and what a pidfd tells."""

from __future__ import annotations

import os
import signal

from launcher.kernel import files

CLONE_PIDFD = 0x00001000
CLONE_PARENT = 0x00008000
CLONE_INTO_CGROUP = 0x200000000
# Flags and stack of a fork, the other way round on one machine: clone(2), C library/kernel differences.
FORK = (0, signal.SIGCHLD) if os.uname().machine == "s390x" else (signal.SIGCHLD, 0)

_FDINFO = 4096  # bytes; it has some hundred


def pid_of(pidfd: int) -> int:
    """The pid, here, of a process that was cloned in whatever PID namespace; -1 once it was collected."""
    told = files.read_short(f"/proc/self/fdinfo/{pidfd}", _FDINFO)  # proc_pid_fdinfo(5)
    return int(told.partition(b"\nPid:")[2].split(maxsplit=1)[0])
