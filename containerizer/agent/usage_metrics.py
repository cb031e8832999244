"""What containers consume, as Prometheus' metrics: one of each container that is measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from isolators.resources import Usage

# Field of Usage → what it is. Those that only grow are counters.
_GAUGES = {
    "cpu_limit": "processors that it may use",
    "memory_bytes": "memory in use",
    "memory_peak_bytes": "the most memory ever in use",
    "memory_limit_bytes": "the memory limit",
    "memory_soft_limit_bytes": "the memory that it keeps when memory is scarce",
    "memory_with_swap_bytes": "memory and swap in use",
    "memory_anon_bytes": "memory of programs",
    "memory_file_bytes": "the cache of files",
    "memory_mapped_bytes": "files that are mapped",
    "memory_inactive_file_bytes": "of the cache of files, what goes first",
    "memory_unevictable_bytes": "memory that cannot be taken back",
    "memory_swap_bytes": "swap in use",
    "memory_kernel_bytes": "memory that the kernel uses for it",
    "memory_tcp_bytes": "buffers of connections",
    "processes": "processes",
    "threads": "threads",
    "disk_bytes": "the sandbox on disk",
    "disk_limit_bytes": "the disk limit",
}
_COUNTERS = {
    "cpu_user_seconds": "processor time in programs",
    "cpu_system_seconds": "processor time in the kernel",
    "cpu_throttled_seconds": "time held up by the limit",
    "cpu_periods": "periods in which it ran within a limit",
    "cpu_throttled_periods": "periods in which it was held up",
    "page_faults": "page faults",
    "major_page_faults": "page faults that read from a disk",
    "memory_limit_hits": "times it came up against a memory limit",
    "memory_oom_kills": "processes that the kernel has killed for want of memory",
    "io_read_bytes": "read from disks",
    "io_written_bytes": "written to disks",
    "io_reads": "read operations of disks",
    "io_writes": "write operations of disks",
    "network_rx_bytes": "received",
    "network_tx_bytes": "sent",
}
_PREFIX = "containerizer_container_"


def of_containers(usages: Mapping[str, Usage]) -> Iterator[Metric]:
    """`usages`: by the container's id."""
    for fields, family in ((_GAUGES, GaugeMetricFamily), (_COUNTERS, CounterMetricFamily)):
        for field, meaning in fields.items():
            metric = family(f"{_PREFIX}{field}", meaning, labels=["container"])
            _fill(metric, usages, field)
            yield metric
    yield _huge_pages(usages)


def _fill(metric: GaugeMetricFamily | CounterMetricFamily, usages: Mapping[str, Usage], field: str) -> None:
    for container, usage in usages.items():
        if (value := getattr(usage, field)) is not None:
            metric.add_metric([container], value)


def _huge_pages(usages: Mapping[str, Usage]) -> Metric:
    metric = GaugeMetricFamily(f"{_PREFIX}hugetlb_bytes", "in huge pages", labels=["container", "size"])
    measured: Iterable[tuple[str, Mapping[str, int]]] = (
        (container, usage.hugetlb_bytes or {}) for container, usage in usages.items()
    )
    for container, sizes in measured:
        for size, value in sizes.items():
            metric.add_metric([container, size], value)
    return metric
