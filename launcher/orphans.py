"""End what a task has left behind where no PID namespace ends it: run by its supervisor, as a child of it.

Its subreaper is the supervisor, so whatever the task forked is, or becomes, a sibling of this process.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal


def main() -> None:
    """Kill our siblings until there are none. Their parent collects them."""
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    parent = os.getppid()
    while others := [pid for pid in children(parent) if pid != os.getpid()]:
        for pid in others:
            with contextlib.suppress(ProcessLookupError):
                _end(pid, parent)


def children(pid: int) -> list[int]:
    """Those of a process with one thread: proc(5), needs CONFIG_PROC_CHILDREN."""
    with open(f"/proc/{pid}/task/{pid}/children", "rb", buffering=0) as file:
        return [int(child) for child in file.read().split()]


def _end(pid: int, parent: int) -> None:
    pidfd = os.pidfd_open(pid)
    try:
        if pid in children(parent):  # still: its number is nobody else's
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            poll = select.poll()
            poll.register(pidfd, select.POLLIN)
            poll.poll()
    finally:
        os.close(pidfd)
