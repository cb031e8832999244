"""namespaces/uts: a host name of the container's own."""

from __future__ import annotations

import os

from isolators.isolator import ContainerConfig, Isolator, Need, hostname_of
from launcher.container_id import ContainerId
from launcher.launch_info import FileOperation, LaunchInfo


class UtsNamespace(Isolator):
    name = "namespaces/uts"
    needs = (
        Need(
            "UTS namespaces", lambda: os.path.exists("/proc/self/ns/uts"), "use a kernel with CONFIG_UTS_NS"
        ),
    )

    def contribute(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        hostname = hostname_of(container_id, config)
        # Without a root file system of its own, /etc/hostname is the host's.
        file = FileOperation(kind="write", path="/etc/hostname", content=f"{hostname}\n")
        return LaunchInfo(
            namespaces={} if config.parent else {"uts": "new"},
            hostname=None if config.parent else hostname,
            environment={} if "HOSTNAME" in config.environment else {"HOSTNAME": hostname},
            file_operations=() if config.rootfs is None else (file,),
        )
