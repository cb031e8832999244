"""How fast a cgroup may use each disk, and what it has used: the files of blkio (v1) and io (v2).

A disk is named by its numbers, "254:0". See Documentation/admin-guide/cgroup-v1/blkio-controller.rst
and cgroup-v2.rst.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from launcher.kernel import cgroups


class _File(NamedTuple):
    v1: str
    v2: str  # the key in io.max
    largest: int  # the next number of operations means "no limit"


FILES: Mapping[str, _File] = {  # by the fields of Resources
    "device_read_bps": _File("blkio.throttle.read_bps_device", "rbps", (1 << 63) - 1),
    "device_write_bps": _File("blkio.throttle.write_bps_device", "wbps", (1 << 63) - 1),
    "device_read_iops": _File("blkio.throttle.read_iops_device", "riops", (1 << 32) - 2),
    "device_write_iops": _File("blkio.throttle.write_iops_device", "wiops", (1 << 32) - 2),
}

LEAST = 2  # v2 refuses 1: tg_set_limit, block/blk-throttle.c

Rates = Mapping[tuple[str, str], int]  # (field, disk) → a second; what is not there has no limit


def read(cgroup: str, version: int) -> Rates:
    """None where the kernel limits no rates (CONFIG_BLK_DEV_THROTTLING). Raises CgroupError."""
    return _read_v2(cgroup) if version == 2 else _read_v1(cgroup)


def write(cgroup: str, version: int, rates: Rates) -> None:
    """Let these be all. What waits for its turn goes by them at once. Raises CgroupError."""
    from cgroupspy.contenttypes import DeviceThrottle  # its files for writing have a space in their names

    before = read(cgroup, version)
    for field, disk in sorted({*before, *rates}):
        rate = rates.get((field, disk), 0)
        if before.get((field, disk), 0) == rate:
            continue
        if version == 2:
            cgroups.write(cgroup, "io.max", f"{disk} {FILES[field].v2}={rate or 'max'}")
        else:
            cgroups.write(cgroup, FILES[field].v1, str(DeviceThrottle(rate, *disk.split(":"))))


def lowest(some: Rates, others: Rates) -> Rates:
    """Both hold."""
    return {key: min(filter(None, (some.get(key), others.get(key)))) for key in {*some, *others}}


def _read_v1(cgroup: str) -> Rates:
    rates = {}
    for field, file in FILES.items() if cgroups.has(cgroup, FILES["device_read_bps"].v1) else ():
        for line in cgroups.read(cgroup, file.v1).splitlines():
            disk, rate = line.split()
            rates[field, disk] = int(rate)
    return rates


def _read_v2(cgroup: str) -> Rates:
    rates = {}
    for disk, values in _nested_keyed(cgroup, "io.max").items():
        for field, file in FILES.items():
            if values.get(file.v2, "max") != "max":
                rates[field, disk] = int(values[file.v2])
    return rates


# What was used, by disk ----------------------------------------------------------------------------

USED = ("read_bytes", "written_bytes", "reads", "writes")
_V1 = (
    ("io_service_bytes", "Read"),
    ("io_service_bytes", "Write"),
    ("io_serviced", "Read"),
    ("io_serviced", "Write"),
)
_V2 = ("rbytes", "wbytes", "rios", "wios")


def used(cgroup: str, version: int) -> dict[str, dict[str, int]]:
    """Disk → what of USED; what is nested in the cgroup counts as well. Raises CgroupError."""
    return _used_v2(cgroup) if version == 2 else _used_v1(cgroup)


def _used_v2(cgroup: str) -> dict[str, dict[str, int]]:
    found = _nested_keyed(cgroup, "io.stat").items()
    return {
        disk: {name: int(values.get(key, 0)) for name, key in zip(USED, _V2, strict=True)}
        for disk, values in found
        if values
    }


def _used_v1(cgroup: str) -> dict[str, dict[str, int]]:
    disks: dict[str, dict[str, int]] = {}
    for name, (file, what) in zip(USED, _V1, strict=True):
        for line in cgroups.read(cgroup, f"blkio.throttle.{file}_recursive").splitlines():
            words = line.split()
            if words[1] == what:
                disks.setdefault(words[0], dict.fromkeys(USED, 0))[name] = int(words[2])
    return disks


def _nested_keyed(cgroup: str, file: str) -> dict[str, dict[str, str]]:
    """`254:0 rbps=max wbps=1024` lines."""
    content = cgroups.read(cgroup, file) if cgroups.has(cgroup, file) else ""
    lines = (line.split() for line in content.splitlines())
    return {disk: dict(pair.split("=", 1) for pair in pairs) for disk, *pairs in lines}
