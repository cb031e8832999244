"""cgroups/freezer: stops all processes of a container and lets them go on, and kills them surely.

v1 has a controller for it, in v2 every cgroup can: Documentation/admin-guide/cgroup-v1/
freezer-subsystem.rst and cgroup-v2.rst (cgroup.freeze). See launcher/kernel/freezer.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isolators.cgroups.subsystem import CgroupIsolator
from isolators.isolator import Need
from isolators.resources import Resources
from launcher.container_id import ContainerId
from launcher.kernel import cgroups, freezer
from launcher.kernel.cgroups import Hierarchy


def _find(mountinfo: str = cgroups.MOUNTINFO) -> Hierarchy | None:
    """v1's hierarchy with the controller, or else v2's, whatever controllers it has."""
    unified = (h for h in cgroups.hierarchies(mountinfo) if h.version == 2)
    return cgroups.find("freezer", mountinfo) or next(unified, None)


class CgroupsFreezer(CgroupIsolator):
    name = "cgroups/freezer"
    controller = "freezer"
    needs = (
        Need(
            "a cgroup freezer",
            lambda: _find() is not None,
            "mount -t cgroup -o freezer cgroup /sys/fs/cgroup/freezer, or boot with cgroup v2",
        ),
    )
    pauses = True

    @classmethod
    def find(cls, mountinfo: str) -> Hierarchy | None:
        return _find(mountinfo)

    def limit(self, cgroup: str, resources: Resources) -> None:
        """There is nothing to limit."""

    def pause(self, container_id: ContainerId) -> None:
        freezer.freeze(self.cgroup(container_id))

    def resume(self, container_id: ContainerId) -> None:
        freezer.thaw(self.cgroup(container_id))

    def paused(self, container_id: ContainerId) -> bool:
        return freezer.is_frozen(self.cgroup(container_id))

    def status(self, container_id: ContainerId) -> Mapping[str, Any]:
        return {**super().status(container_id), "paused": self.paused(container_id)}
