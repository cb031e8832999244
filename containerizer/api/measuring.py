"""What containers consume, as ResourceStatistics has it."""

from __future__ import annotations

import time
from collections.abc import Mapping

from containerizer.api.proto import statistics_pb2 as statistics
from isolators.resources import Usage

# Field of Usage → names in ResourceStatistics, of which some have two: the one that was before, too.
NAMES: Mapping[str, tuple[str, ...]] = {
    "cpu_user_seconds": ("cpus_user_time_secs",),
    "cpu_system_seconds": ("cpus_system_time_secs",),
    "cpu_throttled_seconds": ("cpus_throttled_time_secs",),
    "cpu_periods": ("cpus_nr_periods",),
    "cpu_throttled_periods": ("cpus_nr_throttled",),
    "cpu_limit": ("cpus_limit",),
    "memory_bytes": ("mem_total_bytes",),
    "memory_limit_bytes": ("mem_limit_bytes",),
    "memory_soft_limit_bytes": ("mem_soft_limit_bytes",),
    "memory_with_swap_bytes": ("mem_total_memsw_bytes",),
    "memory_anon_bytes": ("mem_rss_bytes", "mem_anon_bytes"),
    "memory_file_bytes": ("mem_cache_bytes", "mem_file_bytes"),
    "memory_mapped_bytes": ("mem_mapped_file_bytes",),
    "memory_unevictable_bytes": ("mem_unevictable_bytes",),
    "memory_swap_bytes": ("mem_swap_bytes",),
    "memory_kernel_bytes": ("mem_kmem_usage_bytes",),
    "memory_tcp_bytes": ("mem_kmem_tcp_usage_bytes",),
    "processes": ("processes",),
    "threads": ("threads",),
    "disk_bytes": ("disk_used_bytes",),
    "disk_limit_bytes": ("disk_limit_bytes",),
    "perf_seconds": ("perf_seconds",),
    "network_rx_bytes": ("net_rx_bytes",),
    "network_rx_packets": ("net_rx_packets",),
    "network_rx_errors": ("net_rx_errors",),
    "network_rx_dropped": ("net_rx_dropped",),
    "network_tx_bytes": ("net_tx_bytes",),
    "network_tx_packets": ("net_tx_packets",),
    "network_tx_errors": ("net_tx_errors",),
    "network_tx_dropped": ("net_tx_dropped",),
}

_Blkio = statistics.CgroupInfo.Blkio


def usage_statistics(usage: Usage) -> statistics.ResourceStatistics:
    """What was measured; the time is now."""
    measured = statistics.ResourceStatistics(timestamp=time.time())
    for field, names in NAMES.items():
        if (value := getattr(usage, field)) is not None:
            for name in names:
                setattr(measured, name, value)
    measured.perf_events.update(usage.perf_events or {})
    for disk, used in (usage.io_disks or {}).items():
        measured.blkio_statistics.throttling.append(_throttling(disk, used))
    return measured


def _throttling(disk: str, used: Mapping[str, int]) -> _Blkio.Throttling.Statistics:
    """The predecessor had what v1's throttling counts; v2 has the same numbers elsewhere."""
    major, minor = map(int, disk.split(":"))
    told = _Blkio.Throttling.Statistics()
    told.device.major_number, told.device.minor_number = major, minor
    told.io_serviced.extend(_values(used["reads"], used["writes"]))
    told.io_service_bytes.extend(_values(used["read_bytes"], used["written_bytes"]))
    return told


def _values(read: int, written: int) -> list[_Blkio.Value]:
    amounts = ((_Blkio.READ, read), (_Blkio.WRITE, written), (_Blkio.TOTAL, read + written))
    return [_Blkio.Value(op=operation, value=amount) for operation, amount in amounts]
