"""network/loopback: a private network with a loopback device only: no way in, no way out.

The task can talk to itself on 127.0.0.1 and ::1. It sees none of the host's devices, ports or
abstract sockets.
"""

from __future__ import annotations

import os

from isolators.isolator import OF_HOST, ContainerConfig, Isolator, Need, has_own_network, hostname_of
from launcher.container_id import ContainerId
from launcher.launch_info import FileOperation, LaunchInfo, Mount

_RESOLVER = "/etc/resolv.conf"
_LARGEST = 1 << 16  # characters

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
        files: tuple[FileOperation, ...] = ()
        # Without a root file system of its own, they are the host's. In networks, network/cni has them.
        if config.rootfs is not None and not config.networks.names:
            files = (FileOperation(kind="write", path="/etc/hosts", content=content), *_resolver(config))
        return LaunchInfo(
            namespaces={"net": "new"} if has_own else {},
            interfaces_up=("lo",) if has_own else (),
            file_operations=files,
            mounts=() if has_own else _shared(config),
        )


def _shared(config: ContainerConfig) -> tuple[Mount, ...]:
    """The files of whoever's network it is in."""
    if config.network_files is None:
        return ()
    from isolators.network import files  # for those who share one

    return files.mounts(config, config.network_files)


def _resolver(config: ContainerConfig) -> tuple[FileOperation, ...]:
    """The host's name servers, for who is in its network."""
    if config.parent is not None or config.namespaces.get("net") != OF_HOST:
        return ()
    try:
        with open(_RESOLVER, encoding="utf-8", errors="replace") as file:
            content = file.read(_LARGEST)
    except OSError:
        return ()
    return (FileOperation(kind="write", path=_RESOLVER, content=content),)
