"""linux/sysctls: kernel parameters of the container's own namespaces, never the host's.

What belongs to no namespace, or to one that the container shares, is refused by name:
`launcher.validate`. The task itself finds /proc/sys read-only.
"""

from __future__ import annotations

from isolators.isolator import ContainerConfig, Isolator
from launcher.container_id import ContainerId
from launcher.launch_info import LaunchInfo


class LinuxSysctls(Isolator):
    name = "linux/sysctls"
    enforces = frozenset({"sysctls"})

    def contribute(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        return LaunchInfo(sysctls=config.attributes.sysctls)
