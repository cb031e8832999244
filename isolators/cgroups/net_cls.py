"""cgroups/net_cls: the class of a container's packets, by which tc(8) shapes and nft(8) matches them.

Each container has one of its own, of those that the operator sets aside: the primary handle is that of
a queueing discipline, the secondary one that of a class in it. v1 only, and there a mark of sockets:
Documentation/admin-guide/cgroup-v1/net_cls.rst. On v2 programs match the cgroup itself (`socket cgroupv2`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from isolators import ownership
from isolators.cgroups.subsystem import CgroupIsolator, v1_need
from isolators.isolator import ContainerConfig, IsolatorFlags
from isolators.resources import Resources
from launcher.container_id import ContainerId
from launcher.errors import ContainerizerError, InvalidRequest
from launcher.kernel import cgroups
from launcher.launch_info import LaunchInfo

_LARGEST = 0xFFFF  # of either handle


class NoFreeClass(ContainerizerError):
    """Other containers have all classes that are given out."""


class CgroupsNetCls(CgroupIsolator):
    name = "cgroups/net_cls"
    controller = "net_cls"
    needs = (v1_need("net_cls"),)

    def __init__(self, flags: IsolatorFlags, mountinfo: str = cgroups.MOUNTINFO) -> None:
        super().__init__(flags, mountinfo)
        self._owners = os.path.join(flags.state, "net_cls")
        first, last = flags.net_cls_secondary_handles
        for handle in (flags.net_cls_primary_handle or 1, first, last):
            if not 0 < handle <= _LARGEST:
                hint = f"use 0x1 to {_LARGEST:#x}"
                raise InvalidRequest(f"invalid handle {handle:#x} of network classes", hint=hint)

    def limit(self, cgroup: str, resources: Resources) -> None:
        """There is nothing to limit."""

    def prepare(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        info = super().prepare(container_id, config)
        if self.flags.net_cls_primary_handle is not None:
            handle = self._class_for(
                ownership.holder(self.flags, container_id), self.flags.net_cls_primary_handle
            )
            cgroups.write(self.cgroup(container_id), "net_cls.classid", f"0x{handle.replace(':', '')}")
        return info

    def _class_for(self, holder: str, primary: int) -> str:
        """As tc(8) writes it, "0012:0001"; from now on the holder's. Raises NoFreeClass."""
        first, last = self.flags.net_cls_secondary_handles
        if own := ownership.held(self._owners, holder):
            return own[0]
        names = (f"{primary:04x}:{secondary:04x}" for secondary in range(first, last + 1))
        taken = ownership.take(self._owners, holder, names, 1)
        if taken is None:
            hint = "wait until one has ended, or give out more (--cgroups-net-cls-secondary-handles)"
            raise NoFreeClass(f"all {last - first + 1} network classes are given out", hint=hint)
        return taken[0]

    def status(self, container_id: ContainerId) -> Mapping[str, Any]:
        handle = int(cgroups.read(self.cgroup(container_id), "net_cls.classid"))
        return {**super().status(container_id), **({"net_cls_classid": handle} if handle else {})}

    def cleanup(self, container_id: ContainerId) -> None:
        super().cleanup(container_id)
        ownership.release(self._owners, ownership.holder(self.flags, container_id))

    def recover(self, is_there: Callable[[ContainerId], bool]) -> Sequence[str]:
        classes = [f"the network class {name}" for name in ownership.sweep(self._owners)]
        return [*super().recover(is_there), *classes]
