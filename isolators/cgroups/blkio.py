"""cgroups/blkio: how fast a container may use the host's disks, and its share where they are busy.

Rates are of one disk each, in bytes and in operations a second. v1 calls the controller blkio, v2 io.
On v1 a write that the kernel does later, as it does most, counts as nobody's: only direct and
synchronous ones do, and reads.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from isolators.cgroups import disk_rates
from isolators.cgroups.block_devices import disk_of
from isolators.cgroups.disk_rates import Rates
from isolators.cgroups.subsystem import CgroupIsolator, gone_is_fine, nested_in
from isolators.isolator import IsolatorFlags, Need
from isolators.resources import Resources, Usage
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest
from launcher.kernel import cgroups
from launcher.kernel.cgroups import CgroupError, Hierarchy

MIN_WEIGHT, MAX_WEIGHT = 10, 1000  # Docker's
DEFAULT_WEIGHT = 100  # of BFQ and of v2's io.weight, which so weigh alike

# BFQ's, CFQ's (before Linux 5.0) and io.cost's. Those that are there; the one that serves a disk counts.
_WEIGHTS = {1: ("blkio.bfq.weight", "blkio.weight"), 2: ("io.bfq.weight", "io.weight")}


def _find(mountinfo: str = cgroups.MOUNTINFO) -> Hierarchy | None:
    return cgroups.find("blkio", mountinfo) or cgroups.find("io", mountinfo)


class CgroupsBlkio(CgroupIsolator):
    name = "cgroups/blkio"
    controller = "blkio"
    needs = (
        Need(
            "cgroup controller blkio or io",
            lambda: _find() is not None,
            "mount -t cgroup -o blkio cgroup /sys/fs/cgroup/blkio, or boot with cgroup v2",
        ),
    )
    enforces = frozenset({*disk_rates.FILES, "blkio_weight"})

    def __init__(self, flags: IsolatorFlags, mountinfo: str = cgroups.MOUNTINFO) -> None:
        super().__init__(flags, mountinfo)
        if self.hierarchy.version == 2:
            self.controller = "io"

    @classmethod
    def find(cls, mountinfo: str) -> Hierarchy | None:
        return _find(mountinfo)

    def check(self, resources: Resources) -> None:
        for field, file in disk_rates.FILES.items():
            for path, rate in (getattr(resources, field) or {}).items():
                if rate and not disk_rates.LEAST <= rate <= file.largest:
                    hint = f"use {disk_rates.LEAST} to {file.largest}; 0 is no limit"
                    raise InvalidRequest(f"invalid {field} {rate} of {path}", hint=hint)
        _rates(resources)
        weight = resources.blkio_weight
        if weight and not MIN_WEIGHT <= weight <= MAX_WEIGHT:
            hint = f"use {MIN_WEIGHT} to {MAX_WEIGHT}; 0 is the normal one"
            raise InvalidRequest(f"invalid weight {weight} of input and output", hint=hint)
        if weight and not _weighs(self.hierarchy):
            hint = "load the kernel's module bfq, and choose it in /sys/block/DISK/queue/scheduler"
            raise InvalidRequest("nothing on this host weighs input and output", hint=hint)

    def limit(self, cgroup: str, resources: Resources) -> None:
        self._limit(cgroup, disk_rates.lowest(_rates(resources), self._above(cgroup)))
        if resources.blkio_weight is not None:
            for file in _WEIGHTS[self.hierarchy.version]:
                if cgroups.has(cgroup, file):
                    cgroups.write(cgroup, file, str(resources.blkio_weight or DEFAULT_WEIGHT))

    def usage(self, container_id: ContainerId) -> Usage:
        disks = disk_rates.used(self.cgroup(container_id), self.hierarchy.version)
        total = {name: sum(disk[name] for disk in disks.values()) for name in disk_rates.USED}
        return Usage(
            io_read_bytes=total["read_bytes"],
            io_written_bytes=total["written_bytes"],
            io_reads=total["reads"],
            io_writes=total["writes"],
            io_disks=disks,
        )

    def kill(self, container_id: ContainerId, timeout: float) -> None:
        """Who waits for its turn at a disk dies only when it had it, so all have it now.

        That it did, other isolators see, and `cleanup`.
        """
        with contextlib.suppress(CgroupError):  # it is gone, or does not end at once
            for directory, _, _ in os.walk(self.cgroup(container_id)):
                disk_rates.write(directory, self.hierarchy.version, {})
            super().kill(container_id, 0)

    def _above(self, cgroup: str) -> Rates:
        """What holds by the cgroups above. v1 counts each by itself (block/blk-throttle.c): it has to be
        written into those below, too.
        """
        rates: Rates = {}
        top = (os.path.join(self.hierarchy.mount_point, self.root), self.hierarchy.mount_point)
        while self.hierarchy.version == 1 and (cgroup := os.path.dirname(cgroup)) not in top:
            rates = disk_rates.lowest(rates, disk_rates.read(cgroup, 1))
        return rates

    def _limit(self, cgroup: str, rates: Rates) -> None:
        disk_rates.write(cgroup, self.hierarchy.version, rates)
        for nested in nested_in(cgroup) if self.hierarchy.version == 1 else ():
            with gone_is_fine():
                self._limit(nested, disk_rates.lowest(rates, disk_rates.read(nested, 1)))


def _rates(resources: Resources) -> Rates:
    """Raises InvalidRequest."""
    found: dict[tuple[str, str], tuple[int, str]] = {}
    for field in disk_rates.FILES:
        for path, rate in (getattr(resources, field) or {}).items():
            try:
                disk = disk_of(path)
            except InvalidRequest:
                if rate:
                    raise
                continue  # a disk that is gone has no rate
            before, other = found.setdefault((field, disk), (rate, path))
            if before != rate:
                raise InvalidRequest(f"{other} and {path} are one disk, {disk}, and have two {field}")
    return {key: rate for key, (rate, _) in found.items() if rate}


def _weighs(hierarchy: Hierarchy) -> bool:
    """Only a cgroup that there is has the files."""
    if any(cgroups.has(hierarchy.mount_point, file) for file in ("blkio.weight", "io.cost.qos")):
        return True
    return any("bfq" in queue.read_text() for queue in Path("/sys/block").glob("*/queue/scheduler"))
