"""The options for limits, as `run`, `plan` and `update` share them; named as Docker's are."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from containerizer.request import resources_of
from containerizer.units import parse_count, parse_limit, parse_size
from isolators.resources import Resources
from launcher.errors import InvalidRequest

T = TypeVar("T")


def add(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--cpus", metavar="N", help="CPUs at most, e.g. 0.5; -1: no limit")
    group.add_argument(
        "--cpu-shares", type=int, metavar="N", help="weight under contention (1024 is one CPU's)"
    )
    group.add_argument(
        "--cpu-period", type=int, metavar="µs", help="how often CPU time is given out (100000)"
    )
    group.add_argument("--cpu-quota", type=int, metavar="µs", help="instead of --cpus: CPU time a period")
    group.add_argument("--cpu-burst", type=int, metavar="µs", help="CPU time that it may save up")
    group.add_argument("--cpuset-cpus", metavar="LIST", help="only these CPUs, e.g. 0-3,5")
    group.add_argument("--cpuset-mems", metavar="LIST", help="only these memory nodes")
    group.add_argument("--cpuset-count", type=int, metavar="N", help="only so many CPUs, near each other")
    group.add_argument(
        "--cpuset-exclusive",
        action=argparse.BooleanOptionalAction,
        help="keep others that ask for CPUs from those (no)",
    )
    group.add_argument("-m", "--memory", metavar="SIZE", help="memory at most, e.g. 64m; -1: no limit")
    group.add_argument("--memory-reservation", metavar="SIZE", help="what it keeps when memory is scarce")
    group.add_argument("--memory-swap", metavar="SIZE", help="memory and swap at most (no swap)")
    group.add_argument("--memory-high", metavar="SIZE", help="beyond, it is slowed down (cgroup v2)")
    group.add_argument(
        "--oom-group",
        action=argparse.BooleanOptionalAction,
        help="whether it ends when the kernel kills for want of memory, or its victim only (it ends)",
    )
    group.add_argument(
        "--pressure",
        action="append",
        default=[],
        metavar="RESOURCE:TIME",
        help="tell when it waits longer for memory, cpu or io: 'memory:medium', 'io:full 150ms/1s'",
    )
    _add_devices(group)
    group.add_argument("--disk", metavar="SIZE", help="what it may write to its own filesystem, e.g. 1g")
    group.add_argument(
        "--storage-opt", action="append", default=[], metavar="size=SIZE", help="the same, in Docker's words"
    )
    group.add_argument(
        "--hugetlb",
        action="append",
        default=[],
        metavar="PAGE:SIZE",
        help="huge pages at most, by their size: 2MB:64m; -1: no limit",
    )
    group.add_argument(
        "--pids-limit", type=int, metavar="N", help="processes and threads at most; -1: no limit"
    )


def _add_devices(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--device-cgroup-rule",
        action="append",
        metavar="'KIND MAJOR:MINOR ACCESS'",
        help="devices it may use besides, e.g. 'c 10:229 rw'",
    )
    for option, what in (("bps", "SIZE"), ("iops", "N")):
        for verb in ("read", "write"):
            group.add_argument(
                f"--device-{verb}-{option}",
                action="append",
                default=[],
                metavar=f"PATH:{what}",
                help=f"{verb} at most so much a second, of a disk or of the one that PATH lies on",
            )
    group.add_argument("--blkio-weight", type=int, metavar="N", help="share of busy disks, 10 to 1000 (100)")
    group.add_argument(
        "--net-prio",
        action="append",
        default=[],
        metavar="DEVICE:N",
        help="priority of packets that leave by this device of the host",
    )


def resources(arguments: argparse.Namespace) -> Resources:
    """The limits that the parsed options name. Raises InvalidRequest."""
    return resources_of(**asked(arguments))


def asked(arguments: argparse.Namespace) -> dict[str, Any]:
    """Those in the words of ContainerRequest.of. Raises InvalidRequest."""
    return {
        "cpus": arguments.cpus,
        "cpu_shares": arguments.cpu_shares,
        "cpu_period": arguments.cpu_period,
        "cpu_quota": arguments.cpu_quota,
        "cpu_burst": arguments.cpu_burst,
        "mem": arguments.memory,
        "memory_reservation": arguments.memory_reservation,
        "memory_swap": arguments.memory_swap,
        "memory_high": arguments.memory_high,
        "oom_group": arguments.oom_group,
        "pids": arguments.pids_limit,
        "cpuset_cpus": arguments.cpuset_cpus,
        "cpuset_mems": arguments.cpuset_mems,
        "cpuset_count": arguments.cpuset_count,
        "cpuset_exclusive": arguments.cpuset_exclusive,
        "disk": arguments.disk or _storage(arguments.storage_opt),
        "net_priorities": _by_name(arguments.net_prio, parse_count),
        "device_rules": ",".join(arguments.device_cgroup_rule) if arguments.device_cgroup_rule else None,
        "device_read_bps": _by_name(arguments.device_read_bps, parse_size),
        "device_write_bps": _by_name(arguments.device_write_bps, parse_size),
        "device_read_iops": _by_name(arguments.device_read_iops, parse_count),
        "device_write_iops": _by_name(arguments.device_write_iops, parse_count),
        "blkio_weight": arguments.blkio_weight,
        "hugetlb": _by_name(arguments.hugetlb, parse_limit),
        "pressure": _by_name(arguments.pressure, str),
    }


def _storage(options: Sequence[str]) -> str | None:
    """Docker's word for `disk`. Raises InvalidRequest."""
    size = None
    for option in options:
        name, _, size = option.partition("=")
        if name != "size" or not size:
            raise InvalidRequest(f"unknown --storage-opt {option!r}", hint="write size=SIZE, or --disk SIZE")
    return size


def _by_name(options: Sequence[str], parse: Callable[[str], T]) -> dict[str, T] | None:
    """Limits by what stands before them; the last one wins. Raises InvalidRequest."""
    found = {}
    for option in options:
        name, colon, value = option.rpartition(":")
        if not (name and colon):
            raise InvalidRequest(f"invalid limit {option!r}", hint="write NAME:VALUE, e.g. /dev/sda:1m")
        found[name] = parse(value)
    return found or None
