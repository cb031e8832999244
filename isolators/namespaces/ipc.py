"""namespaces/ipc: System V IPC objects and POSIX message queues of the container's own."""

from __future__ import annotations

import os

from isolators.isolator import ContainerConfig, Isolator, Need, has_own
from launcher.container_id import ContainerId
from launcher.launch_info import LaunchInfo


class IpcNamespace(Isolator):
    name = "namespaces/ipc"
    needs = (
        Need(
            "IPC namespaces", lambda: os.path.exists("/proc/self/ns/ipc"), "use a kernel with CONFIG_IPC_NS"
        ),
    )

    def contribute(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        if not has_own("ipc", config):
            return LaunchInfo()  # its parent's, or as the request says
        return LaunchInfo(namespaces={"ipc": "new"})
