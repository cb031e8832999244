"""network/loopback: a private network with a loopback device only: no way in, no way out.

The task can talk to itself on 127.0.0.1 and ::1. It sees none of the host's devices, ports or
abstract sockets.
"""

from __future__ import annotations

import os

from isolators.isolator import ContainerConfig, Isolator, Need, has_own_network, hostname_of
from launcher.container_id import ContainerId
from launcher.launch_info import FileOperation, LaunchInfo

HOSTS = """\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
"""


class NetworkLoopback(Isolator):
    name = "network/loopback"
    needs = (
        Need(
            "network namespaces",
            lambda: os.path.exists("/proc/self/ns/net"),
            "use a kernel with CONFIG_NET_NS",
        ),
    )

    def contribute(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        hostname = hostname_of(container_id, config)
        content = HOSTS if hostname is None else f"{HOSTS}127.0.0.1\t{hostname}\n"
        content += "".join(f"{address}\t{name}\n" for address, name in config.hosts)
        has_own = has_own_network(config)
        # Without a root file system of its own, /etc/hosts is the host's. In networks, network/cni has one.
        is_alone = config.rootfs is not None and not config.networks.names
        file = FileOperation(kind="write", path="/etc/hosts", content=content)
        return LaunchInfo(
            namespaces={"net": "new"} if has_own else {},
            interfaces_up=("lo",) if has_own else (),
            file_operations=(file,) if is_alone else (),
        )
