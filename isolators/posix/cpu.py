"""posix/cpu: the CPU time of a container without cgroups, and how many processes it has."""

from __future__ import annotations

import os

from isolators.isolator import Isolator, IsolatorFlags
from isolators.posix.process_tree import Notes
from isolators.resources import Usage
from launcher.container_id import ContainerId
from launcher.kernel import process

_TICKS = os.sysconf("SC_CLK_TCK")  # a second
_USER, _SYSTEM, _ENDED_USER, _ENDED_SYSTEM, _THREADS = 11, 12, 13, 14, 17  # in process.stat


class PosixCpu(Isolator):
    name = "posix/cpu"
    launchers = ("linux", "posix")

    def __init__(self, flags: IsolatorFlags) -> None:
        super().__init__(flags)
        self._notes = Notes(os.path.join(flags.own_state, "posix-cpu"))

    def isolate(self, container_id: ContainerId, pid: int) -> None:
        self._notes.remember(container_id, pid)

    def usage(self, container_id: ContainerId) -> Usage:
        """With the time of children that have ended and were waited for; of others it is lost."""
        found = [stat for pid in self._notes.processes(container_id) if (stat := process.stat(pid))]
        if not found:
            return Usage()
        user = sum(int(stat[_USER]) + int(stat[_ENDED_USER]) for stat in found)
        system = sum(int(stat[_SYSTEM]) + int(stat[_ENDED_SYSTEM]) for stat in found)
        return Usage(
            cpu_user_seconds=user / _TICKS,
            cpu_system_seconds=system / _TICKS,
            processes=len(found),
            threads=sum(int(stat[_THREADS]) for stat in found),
        )

    def cleanup(self, container_id: ContainerId) -> None:
        self._notes.forget(container_id)
