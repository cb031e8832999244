"""cgroups/pids: how many processes and threads a container may have; past it, fork(2) fails.

The files are the same on v1 and v2: Documentation/admin-guide/cgroup-v1/pids.rst. A container that
reaches the limit goes on within it, so that is told, and ends nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from isolators.cgroups.subsystem import CgroupIsolator, controller_need
from isolators.isolator import Watch
from isolators.resources import UNLIMITED, Limitation, Resources, Usage
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest
from launcher.kernel import cgroups, freezer

MAXIMUM = 1 << 22  # PID_MAX_LIMIT of include/linux/threads.h; the kernel refuses more


class CgroupsPids(CgroupIsolator):
    name = "cgroups/pids"
    controller = "pids"
    needs = (controller_need("pids"),)
    enforces = frozenset({"pids"})
    watches_what_is_asked = True

    def check(self, resources: Resources) -> None:
        asked = resources.pids
        if asked is not None and asked != UNLIMITED and not 1 <= asked <= MAXIMUM:
            hint = f"use 1 to {MAXIMUM}, more than which no host has, or -1 for no limit"
            raise InvalidRequest(f"invalid limit of {asked} processes", hint=hint)

    def limit(self, cgroup: str, resources: Resources) -> None:
        limited = resources.pids is not None and resources.pids != UNLIMITED
        cgroups.write(cgroup, "pids.max", str(resources.pids) if limited else "max")

    def watch(self, container_id: ContainerId) -> Watch | None:
        from isolators.cgroups.notices import Notices, OnceWatch

        cgroup = self.cgroup(container_id)
        if cgroups.read(cgroup, "pids.max") == "max":
            return None
        notices = Notices()
        try:
            notices.add_file(cgroup, _events_file(cgroup))
            if self.hierarchy.version == 1:
                notices.add_timer()  # since Linux 6.12 the file does not tell there
        except BaseException:
            notices.close()
            raise
        return OnceWatch(notices, lambda: self.passed(cgroup))

    def passed(self, cgroup: str) -> Iterator[Limitation]:
        refused = self._refused(cgroup)
        limit = cgroups.read(cgroup, "pids.max") if refused else "max"
        if limit != "max":
            present = cgroups.read(cgroup, "pids.current")
            times = "once" if refused == 1 else f"{refused} times"
            yield Limitation(
                isolator=self.name,
                resource="pids",
                message=f"fork was refused {times}: limit {limit}, {present} processes and threads now",
                fatal=False,
                limit=int(limit),
                usage=int(present),
            )

    def usage(self, container_id: ContainerId) -> Usage:
        cgroup = self.cgroup(container_id)
        threads = int(cgroups.read(cgroup, "pids.current"))
        return Usage(processes=len(freezer.processes(cgroup)), threads=threads)

    def status(self, container_id: ContainerId) -> Mapping[str, Any]:
        refused = self._refused(self.cgroup(container_id))
        return {**super().status(container_id), "pids_refused_forks": refused}

    def _refused(self, cgroup: str) -> int:
        """How many forks were; older kernels count them where the process is, not where the limit is."""
        if self.hierarchy.version == 1:  # where no cgroup has a leaf, nor a count of its own
            return cgroups.read_flat(cgroup, "pids.events")["max"]
        places = (cgroup, os.path.join(cgroup, cgroups.LEAF))
        found = [place for place in places if cgroups.has(place, "pids.events")]
        return sum(cgroups.read_flat(place, _events_file(place))["max"] for place in found)


def _events_file(cgroup: str) -> str:
    """What counts this cgroup's own limit alone: since Linux 6.12 the other one counts those below too."""
    return next(file for file in ("pids.events.local", "pids.events") if cgroups.has(cgroup, file))
