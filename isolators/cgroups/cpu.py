"""cgroups/cpu: the CPU time that a container may use, and its weight when CPUs are scarce.

`cpus` is a hard limit: that many CPU seconds a second, given out in periods of 100 ms (CFS bandwidth
control); `cpu_quota` and `cpu_period` say the same in the kernel's words. `cpu_shares` counts only
under contention. See Documentation/scheduler/sched-bwc.rst.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Iterator, Mapping

from isolators.cgroups.subsystem import CgroupIsolator, TypedFiles, controller_need
from isolators.isolator import ContainerConfig, Watch
from isolators.resources import UNLIMITED, Limitation, Resources, Usage
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest
from launcher.kernel import cgroups

PERIOD, MIN_PERIOD, MAX_PERIOD = 100_000, 1_000, 1_000_000  # µs; the first is the kernel's default
MIN_QUOTA = 1_000  # µs, the kernel's minimum
MIN_SHARES, DEFAULT_SHARES, MAX_SHARES = 2, 1024, 262_144
MAX_WEIGHT = 10_000  # of v2; its default is 100

_BURST = {1: "cpu.cfs_burst_us", 2: "cpu.max.burst"}  # Linux 5.14


class CgroupsCpu(CgroupIsolator):
    name = "cgroups/cpu"
    controller = "cpu"
    companions = ("cpuacct",)
    needs = (controller_need("cpu"),)
    enforces = frozenset({"cpus", "cpu_shares", "cpu_period", "cpu_quota", "cpu_burst"})
    watches_what_is_asked = True

    def check(self, resources: Resources) -> None:
        cpus, shares = resources.cpus, resources.cpu_shares
        host = _cpus_with(max(cpus or 0, (resources.cpu_quota or 0) / (resources.cpu_period or PERIOD)))
        if cpus is not None and cpus != UNLIMITED and not 0 < cpus <= host:
            raise InvalidRequest(f"invalid number of CPUs {cpus}", hint=f"use more than 0, at most {host}")
        if shares is not None and not MIN_SHARES <= shares <= MAX_SHARES:
            raise InvalidRequest(f"invalid CPU shares {shares}", hint=f"use {MIN_SHARES} to {MAX_SHARES}")
        _check_bandwidth(resources, host)
        top, version = self.hierarchy.mount_point, self.hierarchy.version
        if resources.cpu_burst and version == 1 and not cgroups.has(top, _BURST[1]):
            raise InvalidRequest("this kernel saves no CPU time up", hint="use Linux 5.14 or newer")

    def fill(self, cgroup: str, config: ContainerConfig) -> None:
        """A new cgroup has no limit, the usual period and the normal weight."""
        resources = config.resources
        if resources.asked().isdisjoint(self.enforces):
            return
        period, quota, burst = bandwidth(resources)
        if self.hierarchy.version == 2 or period != PERIOD or burst:
            self.limit(cgroup, resources)
            return
        if quota is not None:
            cgroups.write(cgroup, "cpu.cfs_quota_us", str(quota))
        if (shares := resources.cpu_shares or DEFAULT_SHARES) != DEFAULT_SHARES:
            cgroups.write(cgroup, "cpu.shares", str(shares))

    def limit(self, cgroup: str, resources: Resources) -> None:
        period, quota, burst = bandwidth(resources)
        file = _BURST[self.hierarchy.version]
        if cgroups.has(cgroup, file) and int(cgroups.read(cgroup, file)) > (quota or 0):
            cgroups.write(cgroup, file, "0")  # the kernel keeps burst <= quota at every moment
        shares = resources.cpu_shares or DEFAULT_SHARES
        if self.hierarchy.version == 2:
            cgroups.write(cgroup, "cpu.max", f"{quota or 'max'} {period}")
            cgroups.write(cgroup, "cpu.weight", str(weight(shares)))
        else:
            self._limit_v1(cgroup, period, quota)
            cgroups.write(cgroup, "cpu.shares", str(shares))
        if burst or cgroups.has(cgroup, file):
            cgroups.set_to(cgroup, file, str(burst))

    def _limit_v1(self, cgroup: str, period: int, quota: int | None) -> None:
        """Each of these has the kernel look at all groups of the host (tg_set_bandwidth, kernel/sched)."""
        if cgroups.read(cgroup, "cpu.cfs_period_us") != str(period):
            # Of the old quota in the new period the kernel might think that it is more than the parent's.
            cgroups.set_to(cgroup, "cpu.cfs_quota_us", "-1")
            cgroups.write(cgroup, "cpu.cfs_period_us", str(period))
        cgroups.set_to(cgroup, "cpu.cfs_quota_us", str(quota or -1))

    def watch(self, container_id: ContainerId) -> Watch | None:
        """The kernel counts the periods in which it was throttled, and tells nobody."""
        cgroup = self.cgroup(container_id)
        if self._quota(cgroup) is None:
            return None
        from isolators.cgroups.notices import Notices, OnceWatch

        notices = Notices()
        notices.add_timer()
        return OnceWatch(notices, lambda: self.passed(cgroup))

    def passed(self, cgroup: str) -> Iterator[Limitation]:
        stat = cgroups.read_flat(cgroup, "cpu.stat")
        quota = self._quota(cgroup) if stat.get("nr_throttled") else None
        if quota is not None:
            throttled, periods, used = stat["nr_throttled"], stat["nr_periods"], self._used(cgroup, stat)
            yield Limitation(
                isolator=self.name,
                resource="cpu",
                message=f"throttled in {throttled} of {periods} periods: limit {quota:g} CPUs, used {used:g}",
                fatal=False,
                limit=quota,
                usage=used,
            )

    def _quota(self, cgroup: str) -> float | None:
        """The limit in CPUs; None if there is none."""
        quota, period = self._bandwidth(cgroup)
        return None if quota is None else quota / period

    def _bandwidth(self, cgroup: str) -> tuple[int | None, int]:
        """Quota and period in µs."""
        if self.hierarchy.version == 2:
            quota, period = cgroups.read(cgroup, "cpu.max").split()
            return None if quota == "max" else int(quota), int(period)
        quota = cgroups.read(cgroup, "cpu.cfs_quota_us")
        return None if int(quota) < 0 else int(quota), int(cgroups.read(cgroup, "cpu.cfs_period_us"))

    def _used(self, cgroup: str, stat: Mapping[str, int]) -> float:
        """How many CPUs on average, in the periods in which it ran at all."""
        if self.hierarchy.version == 2:
            seconds = stat["usage_usec"] / 1e6
        elif "cpuacct" in self.others:
            accounted = self.others["cpuacct"].mount_point + cgroup.removeprefix(self.hierarchy.mount_point)
            seconds = int(cgroups.read(accounted, "cpuacct.usage")) / 1e9
        else:
            return self._quota(cgroup) or 0.0  # it was throttled, so that much
        return round(seconds / (stat["nr_periods"] * self._bandwidth(cgroup)[1] / 1e6), 2)

    def usage(self, container_id: ContainerId) -> Usage:
        cgroup = self.cgroup(container_id)
        if self.hierarchy.version == 2:
            stat = cgroups.read_flat(cgroup, "cpu.stat")
            return Usage(
                cpu_user_seconds=stat["user_usec"] / 1e6,
                cpu_system_seconds=stat["system_usec"] / 1e6,
                cpu_throttled_seconds=stat.get("throttled_usec", 0) / 1e6,
                cpu_periods=stat.get("nr_periods", 0),
                cpu_throttled_periods=stat.get("nr_throttled", 0),
                cpu_limit=self._quota(cgroup),
            )
        user, system = self._accounted(container_id)
        stat = TypedFiles("CpuController", cgroup).get("stat")
        return Usage(
            cpu_user_seconds=user,
            cpu_system_seconds=system,
            cpu_throttled_seconds=stat["throttled_time"] / 1e9,
            cpu_periods=stat["nr_periods"],
            cpu_throttled_periods=stat["nr_throttled"],
            cpu_limit=self._quota(cgroup),
        )

    def _accounted(self, container_id: ContainerId) -> tuple[float | None, float | None]:
        if "cpuacct" not in self.others:
            return None, None
        stat = TypedFiles("CpuAcctController", self.cgroup(container_id, "cpuacct")).get("acct_stat")
        ticks = os.sysconf("SC_CLK_TCK")
        return stat["user"] / ticks, stat["system"] / ticks


def _cpus_with(asked: float) -> int:
    """How many the host has; it is asked again only where those that it had do not suffice."""
    return _cpus() if asked <= _cpus() else os.cpu_count() or 1


@functools.cache
def _cpus() -> int:
    return os.cpu_count() or 1


def _check_bandwidth(resources: Resources, host: int) -> None:
    period, quota, burst = bandwidth(resources)
    if not MIN_PERIOD <= period <= MAX_PERIOD:
        hint = f"use {MIN_PERIOD} to {MAX_PERIOD}"
        raise InvalidRequest(f"invalid CPU period of {period} µs", hint=hint)
    asked = resources.cpu_quota
    if asked is not None and asked != UNLIMITED:
        if resources.cpus is not None and resources.cpus != UNLIMITED:
            hint = "use one of them; -1 undoes the other"
            raise InvalidRequest("cpus and cpu_quota are one limit in two words", hint=hint)
        if not MIN_QUOTA <= asked <= host * period:
            hint = f"use {MIN_QUOTA} to {host * period}, or -1 for no limit"
            raise InvalidRequest(f"invalid CPU quota of {asked} µs in {period} µs", hint=hint)
    if burst and not 0 < burst <= (quota or 0):
        hint = "it is saved up of the quota, and at most as much"
        raise InvalidRequest(f"invalid CPU burst of {burst} µs, with a quota of {quota} µs", hint=hint)


def bandwidth(resources: Resources) -> tuple[int, int | None, int]:
    """Period, quota and burst in µs; no quota is no limit."""
    period, quota, cpus = resources.cpu_period or PERIOD, resources.cpu_quota, resources.cpus
    if quota is None or quota == UNLIMITED:
        quota = None if cpus is None or cpus == UNLIMITED else max(MIN_QUOTA, int(cpus * period))
    return period, quota, resources.cpu_burst or 0


def weight(shares: int) -> int:
    """v1's shares on v2's scale, as OCI runtimes convert them: 2, 1024, 262144 become 1, 100, 10000.

    A quadratic in log2(shares) through these three; a straight line would turn v1's default into 39.
    """
    if shares <= MIN_SHARES:
        return 1
    log = math.log2(shares)
    return min(MAX_WEIGHT, math.ceil(10 ** ((log * log + 125 * log) / 612 - 7 / 34)))
