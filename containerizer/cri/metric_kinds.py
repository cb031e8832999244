"""The metrics that there are, under the names and labels that cAdvisor has given them: pure, but for /sys.

https://github.com/google/cadvisor/blob/master/docs/storage/prometheus.md. What the host does not measure is
left out, and 0 stands for "no limit" there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping

from containerizer.cri import usage
from containerizer.cri.proto.common_pb2 import LinuxContainerResources
from containerizer.open_files import OpenFiles
from isolators.resources import Usage
from launcher.data import Data

_DEFAULT_PERIOD = 100_000  # microseconds
_DEFAULT_SHARES = 1024
_SCOPES = ("container", "hierarchy")


class Seen(Data, kw_only=True):
    """What is known of a pod or a container; the last four of containers only."""

    usage: Usage
    at: float  # seconds since the epoch
    started: float
    resources: LinuxContainerResources | None = None
    open_files: OpenFiles | None = None
    written: int | None = None  # bytes in its own layer
    filesystem: os.statvfs_result | None = None  # that has it


Value = float | None
Series = Mapping[tuple[str, ...], Value]  # by the values of its own labels


class MetricKind(Data):
    """A metric, and where it comes from."""

    name: str
    help: str
    read: Callable[[Seen], Value | Series]
    counts: bool = True  # or it goes up and down
    labels: tuple[str, ...] = ()  # of its own

    def series(self, seen: Seen) -> Iterator[tuple[tuple[str, ...], float]]:
        """What is known of it."""
        found = self.read(seen)
        each = found.items() if isinstance(found, Mapping) else [((), found)]
        yield from ((labels, value) for labels, value in each if value is not None)


def _counter(name: str, help_: str, field: str) -> MetricKind:
    return MetricKind(f"container_{name}", help_, lambda seen: getattr(seen.usage, field))


def _gauge(name: str, help_: str, field: str) -> MetricKind:
    return MetricKind(f"container_{name}", help_, lambda seen: getattr(seen.usage, field), counts=False)


def _of(name: str, help_: str, read: Callable[[Seen], Value | Series], *labels: str) -> MetricKind:
    return MetricKind(f"container_{name}", help_, read, counts=name.endswith("_total"), labels=labels)


def _spec(name: str, help_: str, read: Callable[[LinuxContainerResources], Value]) -> MetricKind:
    return _of(f"spec_{name}", help_, lambda seen: None if seen.resources is None else read(seen.resources))


def _files(name: str, help_: str, read: Callable[[OpenFiles], Value | Series], *labels: str) -> MetricKind:
    return _of(name, help_, lambda seen: None if seen.open_files is None else read(seen.open_files), *labels)


def _disk(name: str, help_: str, read: Callable[[os.statvfs_result], Value]) -> MetricKind:
    return _of(name, help_, lambda seen: None if seen.filesystem is None else read(seen.filesystem))


def _cpu_seconds(seen: Seen) -> Value:
    nanoseconds = usage.cpu_nanoseconds(seen.usage)
    return None if nanoseconds is None else nanoseconds / 1e9


def _faults(seen: Seen) -> Series:
    found = {"pgfault": seen.usage.page_faults, "pgmajfault": seen.usage.major_page_faults}
    return {(kind, scope): value for kind, value in found.items() for scope in _SCOPES}


def _by_disk(seen: Seen) -> Series:
    found: dict[tuple[str, ...], Value] = {}
    for number, used in (seen.usage.io_disks or {}).items():
        device = f"/dev/{os.path.basename(os.path.realpath(f'/sys/dev/block/{number}'))}"
        for operation, field in (("Read", "read_bytes"), ("Write", "written_bytes")):
            found[(device, *number.split(":"), operation)] = used.get(field)
    return found


def _huge_pages(seen: Seen) -> Series:
    return {(size,): value for size, value in (seen.usage.hugetlb_bytes or {}).items()}


def _threads_max(seen: Seen) -> Value:
    if seen.resources is None:
        return None
    most = seen.resources.unified.get("pids.max", "")
    return int(most) if most.isdecimal() else 0


BASE_LABELS = ("container", "id", "image", "name", "namespace", "pod")

OF_CONTAINERS = (
    _counter("cpu_user_seconds_total", "seconds in programs", "cpu_user_seconds"),
    _counter("cpu_system_seconds_total", "seconds in the kernel", "cpu_system_seconds"),
    _of("cpu_usage_seconds_total", "seconds of processors", _cpu_seconds),
    _counter("cpu_cfs_periods_total", "periods within a limit", "cpu_periods"),
    _counter("cpu_cfs_throttled_periods_total", "periods held up", "cpu_throttled_periods"),
    _counter("cpu_cfs_throttled_seconds_total", "seconds held up", "cpu_throttled_seconds"),
    _gauge("memory_usage_bytes", "memory in use", "memory_bytes"),
    _of("memory_working_set_bytes", "of that, what cannot go", lambda seen: usage.working_set(seen.usage)),
    _gauge("memory_rss", "memory of programs", "memory_anon_bytes"),
    _gauge("memory_cache", "cache of files", "memory_file_bytes"),
    _gauge("memory_mapped_file", "of that, what is mapped", "memory_mapped_bytes"),
    _gauge("memory_kernel_usage", "memory of the kernel", "memory_kernel_bytes"),
    _gauge("memory_swap", "swap in use", "memory_swap_bytes"),
    _gauge("memory_max_usage_bytes", "the most ever", "memory_peak_bytes"),
    _counter("memory_failcnt", "times it came up against a limit", "memory_limit_hits"),
    _of("memory_failures_total", "page faults", _faults, "failure_type", "scope"),
    _counter("oom_events_total", "processes killed for want of memory", "memory_oom_kills"),
    _of("hugetlb_usage_bytes", "huge pages in use", _huge_pages, "pagesize"),
    _gauge("processes", "processes", "processes"),
    _gauge("threads", "threads", "threads"),
    _of("threads_max", "threads at most", _threads_max),
    _files("file_descriptors", "open files", lambda files: files.files),
    _files("sockets", "of those, sockets", lambda files: files.sockets),
    _files("ulimits_soft", "limits", lambda files: {("max_open_files",): files.limit}, "ulimit"),
    _counter("fs_reads_bytes_total", "bytes read from disks", "io_read_bytes"),
    _counter("fs_writes_bytes_total", "bytes written to disks", "io_written_bytes"),
    _counter("fs_reads_total", "times that disks were read", "io_reads"),
    _counter("fs_writes_total", "times that disks were written to", "io_writes"),
    _of("blkio_device_usage_total", "bytes, by disk", _by_disk, "device", "major", "minor", "operation"),
    _of("fs_usage_bytes", "bytes in its own layer", lambda seen: seen.written),
    _disk("fs_limit_bytes", "bytes that its disk has", lambda disk: disk.f_blocks * disk.f_frsize),
    _disk("fs_inodes_total", "inodes that its disk has", lambda disk: disk.f_files),
    _disk("fs_inodes_free", "of those, free ones", lambda disk: disk.f_favail),
    _of("last_seen", "when it was looked at", lambda seen: seen.at),
    _of("start_time_seconds", "when it was started", lambda seen: seen.started),
    _of("spec_memory_limit_bytes", "its limit", lambda seen: seen.usage.memory_limit_bytes or 0),
    _of(
        "spec_memory_reservation_limit_bytes",
        "what it keeps",
        lambda seen: seen.usage.memory_soft_limit_bytes or 0,
    ),
    _spec("memory_swap_limit_bytes", "with swap", lambda asked: max(0, asked.memory_swap_limit_in_bytes)),
    _spec("cpu_period", "microseconds of a period", lambda asked: asked.cpu_period or _DEFAULT_PERIOD),
    _spec("cpu_quota", "of those, what it gets", lambda asked: max(0, asked.cpu_quota) or None),
    _spec("cpu_shares", "its part of scarce processors", lambda asked: asked.cpu_shares or _DEFAULT_SHARES),
)
OF_NETWORKS = (
    _counter("network_receive_bytes_total", "bytes received", "network_rx_bytes"),
    _counter("network_receive_packets_total", "packets received", "network_rx_packets"),
    _counter("network_receive_packets_dropped_total", "packets dropped", "network_rx_dropped"),
    _counter("network_receive_errors_total", "errors", "network_rx_errors"),
    _counter("network_transmit_bytes_total", "bytes sent", "network_tx_bytes"),
    _counter("network_transmit_packets_total", "packets sent", "network_tx_packets"),
    _counter("network_transmit_packets_dropped_total", "packets dropped", "network_tx_dropped"),
    _counter("network_transmit_errors_total", "errors", "network_tx_errors"),
)
