"""clone3(2): its flags, and what a pidfd tells."""

from __future__ import annotations

CLONE_PIDFD = 0x00001000
CLONE_PARENT = 0x00008000
CLONE_INTO_CGROUP = 0x200000000


def pid_of(pidfd: int) -> int:
    """The pid, here, of a process that was cloned in whatever PID namespace; -1 once it was collected."""
    with open(f"/proc/self/fdinfo/{pidfd}") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pid:"))
