"""namespaces/uts: a host name of the container's own."""

from __future__ import annotations

import os

from isolators.isolator import ContainerConfig, Isolator, Need, has_own, hostname_of
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
        if hostname is None:
            return LaunchInfo()
        # Without a root file system of its own, /etc/hostname is the host's.
        file = FileOperation(kind="write", path="/etc/hostname", content=f"{hostname}\n")
        own = has_own("uts", config)
        return LaunchInfo(
            namespaces={"uts": "new"} if own else {},
            hostname=hostname if own else None,
            environment={} if "HOSTNAME" in config.environment else {"HOSTNAME": hostname},
            file_operations=() if config.rootfs is None else (file,),
        )
