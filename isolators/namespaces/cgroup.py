"""namespaces/cgroup: the task sees its own cgroup as the root of every hierarchy.

The child unshares this namespace after the cgroup isolators have moved it: the root is where it
is at that moment. See cgroup_namespaces(7).
"""

from __future__ import annotations

import os

from isolators.isolator import ContainerConfig, Isolator, Need
from launcher.container_id import ContainerId
from launcher.launch_info import LaunchInfo


class CgroupNamespace(Isolator):
    name = "namespaces/cgroup"
    needs = (
        Need(
            "cgroup namespaces",
            lambda: os.path.exists("/proc/self/ns/cgroup"),
            "use Linux 4.6 or newer with CONFIG_CGROUPS",
        ),
    )

    def contribute(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        return LaunchInfo(namespaces={"cgroup": "new"})
