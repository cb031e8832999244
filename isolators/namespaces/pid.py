"""namespaces/pid: the task sees only its own processes, and is PID 1 among them."""

from __future__ import annotations

import os

from isolators.isolator import PROC_MOUNT, ContainerConfig, Isolator, Need
from launcher.container_id import ContainerId
from launcher.launch_info import LaunchInfo
from launcher.namespaces import NEW, below


class PidNamespace(Isolator):
    name = "namespaces/pid"
    requires = ("filesystem/linux",)  # its own /proc needs a mount namespace
    needs = (
        Need(
            "PID namespaces", lambda: os.path.exists("/proc/self/ns/pid"), "use a kernel with CONFIG_PID_NS"
        ),
    )

    def contribute(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        parents = config.parent.namespaces.get("pid") if config.parent else None
        return LaunchInfo(namespaces={"pid": below(parents) if parents else NEW}, mounts=(PROC_MOUNT,))
