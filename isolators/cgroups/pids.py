"""cgroups/pids: how many processes and threads a container may have; past it, fork(2) fails.

The files are the same on v1 and v2: Documentation/admin-guide/cgroup-v1/pids.rst. A container that
reaches the limit goes on within it, so no limitation is reported; `status` counts the refusals.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isolators.cgroups.subsystem import CgroupIsolator, controller_need
from isolators.resources import Resources, Usage
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest
from launcher.kernel import cgroups


class CgroupsPids(CgroupIsolator):
    name = "cgroups/pids"
    controller = "pids"
    needs = (controller_need("pids"),)
    enforces = frozenset({"pids"})

    def check(self, resources: Resources) -> None:
        if resources.pids is not None and resources.pids < 1:
            raise InvalidRequest(f"invalid limit of {resources.pids} processes", hint="use at least 1")

    def limit(self, cgroup: str, resources: Resources) -> None:
        cgroups.write(cgroup, "pids.max", "max" if resources.pids is None else str(resources.pids))

    def usage(self, container_id: ContainerId) -> Usage:
        return Usage(processes=int(cgroups.read(self.cgroup(container_id), "pids.current")))

    def status(self, container_id: ContainerId) -> Mapping[str, Any]:
        events = cgroups.read_flat(self.cgroup(container_id), "pids.events")
        return {**super().status(container_id), "pids_refused_forks": events["max"]}
