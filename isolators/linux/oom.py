"""linux/oom: how likely the kernel kills the task when the host's memory runs out.

The adjustment is a process' own, see proc_pid_oom_score_adj(5); a container's memory limit is
cgroups/mem's, and kills within the container only.
"""

from __future__ import annotations

from isolators.isolator import ContainerConfig, Isolator
from launcher.container_id import ContainerId
from launcher.launch_info import LaunchInfo


class LinuxOom(Isolator):
    name = "linux/oom"
    enforces = frozenset({"oom_score_adj"})

    def contribute(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        return LaunchInfo(oom_score_adj=config.attributes.oom_score_adj)
