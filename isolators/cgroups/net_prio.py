"""cgroups/net_prio: the priority of a container's packets, by the network device that they leave by.

v1 only: Documentation/admin-guide/cgroup-v1/net_prio.rst. The devices are those of the host's own network
namespace, so it is for containers that have that one; a packet that has a priority of its own keeps it.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any

from isolators.cgroups.subsystem import CgroupIsolator, v1_need
from isolators.resources import Resources
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest
from launcher.kernel import cgroups

_LARGEST = 0xFFFFFFFF  # of skb->priority
_FILE = "net_prio.ifpriomap"


class CgroupsNetPrio(CgroupIsolator):
    name = "cgroups/net_prio"
    controller = "net_prio"
    needs = (v1_need("net_prio"),)
    enforces = frozenset({"net_priorities"})

    def check(self, resources: Resources) -> None:
        devices = {name for _, name in socket.if_nameindex()}
        for device, priority in (resources.net_priorities or {}).items():
            if device not in devices:
                hint = f"there are {', '.join(sorted(devices))}"
                raise InvalidRequest(f"this host has no network device {device!r}", hint=hint)
            if not 0 <= priority <= _LARGEST:
                hint = f"use 0 to {_LARGEST}"
                raise InvalidRequest(f"invalid priority {priority} for {device}", hint=hint)

    def limit(self, cgroup: str, resources: Resources) -> None:
        wanted = resources.net_priorities or {}
        for device, priority in _map(cgroup).items():
            if priority != wanted.get(device, 0):
                cgroups.write(cgroup, _FILE, f"{device} {wanted.get(device, 0)}")

    def status(self, container_id: ContainerId) -> Mapping[str, Any]:
        given = {device: priority for device, priority in _map(self.cgroup(container_id)).items() if priority}
        return {**super().status(container_id), "net_priorities": given}


def _map(cgroup: str) -> dict[str, int]:
    """Device → priority, of every device; a new cgroup has its parent's."""
    lines = cgroups.read(cgroup, _FILE).splitlines()
    return {device: int(priority) for device, _, priority in (line.rpartition(" ") for line in lines)}
