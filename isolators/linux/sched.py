"""linux/sched: when and where the task runs: nice value, scheduler, CPUs, input/output priority.

They are attributes of a process, see sched(7) and ioprio_set(2), and the task may lower them
itself; what it cannot escape are the limits of cgroups/cpu.
"""

from __future__ import annotations

from isolators.isolator import ContainerConfig, Isolator
from launcher.container_id import ContainerId
from launcher.launch_info import LaunchInfo


class LinuxSched(Isolator):
    name = "linux/sched"
    enforces = frozenset({"nice", "scheduler", "io_priority", "cpu_affinity"})

    def contribute(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        asked = config.attributes
        return LaunchInfo(
            nice=asked.nice,
            scheduler=asked.scheduler,
            io_priority=asked.io_priority,
            cpu_affinity=asked.cpu_affinity,
        )
