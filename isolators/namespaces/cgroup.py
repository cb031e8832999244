"""namespaces/cgroup: the task sees its own cgroup as the root of every hierarchy.

The child unshares this namespace after it has joined its cgroups: the root of a hierarchy is where
the child is at that moment. So it joins one in every hierarchy of the host, limited there or not.
In a hierarchy that it had not joined, a task that makes itself root of a user namespace could mount
the host's whole tree, and freeze or move what is in it. See cgroup_namespaces(7).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from isolators.cgroups import parents
from isolators.cgroups.subsystem import CgroupIsolator, checked_root, path_of, permission_need, sweep
from isolators.isolator import ContainerConfig, Isolator, IsolatorFlags, Need, shares
from launcher.container_id import ContainerId
from launcher.kernel import cgroups
from launcher.launch_info import LaunchInfo


class CgroupNamespace(Isolator):
    name = "namespaces/cgroup"
    keeps_cgroups = True
    makes_every_cgroup = True
    needs = (
        Need(
            "cgroup namespaces",
            lambda: os.path.exists("/proc/self/ns/cgroup"),
            "use Linux 4.6 or newer with CONFIG_CGROUPS",
        ),
        permission_need(cgroups.hierarchies),
    )

    def __init__(self, flags: IsolatorFlags, mountinfo: str = cgroups.MOUNTINFO) -> None:
        super().__init__(flags)
        self.root = checked_root(flags.cgroups_root)
        # A hierarchy may be mounted in several places: the first will do.
        self._hierarchies = {h.identity: h for h in reversed(cgroups.hierarchies(mountinfo))}.values()
        self._own = list(self._hierarchies)  # in which no other isolator removes the cgroups

    def meet(self, isolators: Sequence[Isolator]) -> None:
        others = [isolator for isolator in isolators if isinstance(isolator, CgroupIsolator)]
        removed = frozenset(h.identity for isolator in others for h in isolator.kept_in())
        self._own = [h for h in self._hierarchies if h.identity not in removed]

    def contribute(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        path = path_of(config.cgroup_parent or self._root_of(container_id), container_id)
        directories = [(h.version, os.path.join(h.mount_point, path)) for h in self._hierarchies]
        return LaunchInfo(
            namespaces={} if shares("cgroup", config) else {"cgroup": "new"},
            cgroups_v1=tuple(directory for version, directory in directories if version == 1),
            cgroup_v2=next((directory for version, directory in directories if version == 2), None),
        )

    def create(self, container_id: ContainerId, config: ContainerConfig) -> None:
        if config.cgroup_parent is not None:
            parents.note(self.flags, container_id, config.cgroup_parent)
        path = path_of(self._root_of(container_id), container_id)
        for hierarchy in self._hierarchies:
            cgroups.create(hierarchy, path, controller="")
            if "cpuset" in hierarchy.controllers and hierarchy.version == 1:
                cgroups.inherit_cpuset(hierarchy, path)

    def recover(self, is_there: Callable[[ContainerId], bool]) -> Sequence[str]:
        return [each for h in self._hierarchies for each in sweep(h, self.root, is_there, self.flags)]

    def cleanup(self, container_id: ContainerId) -> None:
        path = path_of(self._root_of(container_id), container_id)
        for hierarchy in self._own:
            cgroups.remove(f"{hierarchy.mount_point}/{path}")
        parents.forget(self.flags, container_id, path)
        if not self.stays:
            self.close()

    def _root_of(self, container_id: ContainerId) -> str:
        return parents.of(self.flags, container_id) or self.root

    def close(self) -> None:
        for hierarchy in self._hierarchies:
            cgroups.remove_if_empty(os.path.join(hierarchy.mount_point, self.root))
