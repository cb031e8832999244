"""cgroups/perf_event: counts what a container does, by the events of perf(1): clocks, page faults, cycles.

A cgroup of v1's perf_event or of v2, whose events the kernel counts apart. Counters are descriptors, so
they live as long as the process that has asked: the first look at a container's usage begins to count.
Descriptors of a cgroup that is gone are closed when there are many.
"""

from __future__ import annotations

import os
import threading

from isolators.cgroups.subsystem import CgroupIsolator
from isolators.isolator import IsolatorFlags, Need
from isolators.resources import Resources, Usage
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest
from launcher.kernel import cgroups, perf
from launcher.kernel.cgroups import CgroupError, Hierarchy

_MANY = 16  # containers, before it is looked which are gone


def _find(mountinfo: str = cgroups.MOUNTINFO) -> Hierarchy | None:
    """v1's hierarchy with the controller, or else v2's: there every cgroup is counted apart."""
    unified = (h for h in cgroups.hierarchies(mountinfo) if h.version == 2)
    return cgroups.find("perf_event", mountinfo) or next(unified, None)


class _Counting:
    """The counters of this process by the directories of their cgroups, whichever isolator has asked."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counters: dict[str, perf.Counters] = {}
        self._many = _MANY

    def usage(self, cgroup: str, events: tuple[str, ...]) -> Usage:
        with self._lock:
            counters = self._counters.get(cgroup)
            if counters is None:
                self._forget_gone()
                counters = self._counters[cgroup] = perf.Counters(cgroup, events)
            return Usage(perf_events=counters.read(), perf_seconds=counters.seconds)

    def stop(self, cgroup: str) -> None:
        with self._lock:
            if counters := self._counters.pop(cgroup, None):
                counters.close()

    def _forget_gone(self) -> None:
        if len(self._counters) < self._many:
            return
        for cgroup in [cgroup for cgroup in self._counters if not os.path.isdir(cgroup)]:
            self._counters.pop(cgroup).close()
        self._many = 2 * len(self._counters) + _MANY


_COUNTING = _Counting()


class CgroupsPerfEvent(CgroupIsolator):
    name = "cgroups/perf_event"
    controller = "perf_event"
    needs = (
        Need(
            "cgroup controller perf_event",
            lambda: _find() is not None,
            "mount -t cgroup -o perf_event cgroup /sys/fs/cgroup/perf_event, or boot with cgroup v2",
        ),
    )

    def __init__(self, flags: IsolatorFlags, mountinfo: str = cgroups.MOUNTINFO) -> None:
        super().__init__(flags, mountinfo)
        if "pids" in self.hierarchy.controllers and self.hierarchy.version == 2:
            # Below a cgroup that enables no controller the kernel counts none apart (cgroup_ss_mask() in
            # kernel/cgroup/cgroup.c); this one costs least.
            self.others = {"pids": self.hierarchy}
        for event in flags.perf_events:
            if event not in perf.EVENTS:
                hint = "`perf list` shows them; there are " + ", ".join([*perf.EVENTS][:15]) + " …"
                raise InvalidRequest(f"unknown event {event!r} to count", hint=hint)

    @classmethod
    def find(cls, mountinfo: str) -> Hierarchy | None:
        return _find(mountinfo)

    def limit(self, cgroup: str, resources: Resources) -> None:
        """There is nothing to limit."""

    def usage(self, container_id: ContainerId) -> Usage:
        try:
            return _COUNTING.usage(self.cgroup(container_id), self.flags.perf_events)
        except OSError as error:
            hint = f"leave {error.filename} out of --perf-events, if this host has none"
            raise CgroupError(f"cannot count {error.filename}", error, hint=hint) from error

    def cleanup(self, container_id: ContainerId) -> None:
        _COUNTING.stop(self.cgroup(container_id))
        super().cleanup(container_id)
