"""What requests grant a container, what it consumes, and the limits that it reaches.

Each field names its unit, and is of the one isolator that `enforces` or measures it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from launcher.data import Data, field, fields, plain
from launcher.process_attributes import CpuAffinity, IoPriority, Nice, OomScoreAdj, Rlimit, Scheduler

UNLIMITED = -1  # of what an update is to limit no more; in a launch the same as None


class Resources(Data, kw_only=True):
    """What the request grants. None: no limit of ours, the host's apply."""

    cpus: float | None = None  # CPU time per wall time, e.g. 0.5 for half a core; a hard limit
    cpu_shares: int | None = None  # what it requests: weight under contention, cgroup v1's scale (2–262144)
    cpu_period: int | None = None  # µs; how often the limit is given out
    cpu_quota: int | None = None  # µs a period: the limit in other words
    cpu_burst: int | None = None  # µs that it may save up of its quota, for later
    memory: int | None = None  # bytes; a hard limit
    memory_reservation: int | None = None  # bytes that it requests, and keeps when memory is scarce
    memory_high: int | None = None  # bytes; beyond, it is slowed down (cgroup v2)
    memory_swap: int | None = None  # bytes of memory and swap together; None: no swap beside `memory`
    oom_group: bool | None = None  # False: without memory, only the victim of the kernel ends
    pids: int | None = None  # processes and threads
    cpuset_cpus: str | None = None  # numbers of CPUs, "0-3,5"
    cpuset_mems: str | None = None  # numbers of memory nodes, likewise
    cpuset_count: int | None = None  # how many CPUs, instead of which
    cpuset_exclusive: bool | None = None  # whether others that ask for CPUs are kept from them
    device_rules: str | None = None  # devices besides, "c 10:* rwm,b 8:0 r": isolators/devices.py
    # Path of a block device, or of what lies on one → bytes or operations a second; 0: no limit.
    device_read_bps: Mapping[str, int] | None = None
    device_write_bps: Mapping[str, int] | None = None
    device_read_iops: Mapping[str, int] | None = None
    device_write_iops: Mapping[str, int] | None = None
    # "memory", "cpu" or "io" → how long it may wait before that is told: isolators/cgroups/pressure.py.
    pressure: Mapping[str, str] | None = None
    hugetlb: Mapping[str, int] | None = None  # size of huge pages, "2MB" → bytes in such; -1: no limit
    blkio_weight: int | None = None  # share of a busy disk, 10 to 1000; 0: the normal one, 100
    disk: int | None = None  # bytes of the sandbox: the writable layer, the volumes in it, what is nested
    net_priorities: Mapping[str, int] | None = None  # network device of the host → priority of packets
    gpus: str | None = None  # "all", a number, or "device=NAME,NAME" with indices or UUIDs

    def asked(self) -> set[str]:
        """The names of the resources that the request limits."""
        return {name for name, value in self.__dict__.items() if value is not None}

    def limits(self) -> dict[str, Any]:
        """Those, with their limits."""
        return {name: plain(value) for name, value in self.__dict__.items() if value is not None}


class ProcessAttributes(Data, kw_only=True):
    """What the request asks for the task's process. None or empty: as the launcher's own."""

    rlimits: Mapping[str, Rlimit] = field(default_factory=dict)  # "nofile" … of setrlimit(2)
    oom_score_adj: OomScoreAdj | None = None
    nice: Nice | None = None
    scheduler: Scheduler | None = None
    io_priority: IoPriority | None = None
    cpu_affinity: CpuAffinity | None = None
    sysctls: Mapping[str, str] = field(default_factory=dict)  # by the names of sysctl(8)

    def asked(self) -> set[str]:
        """The names of the attributes that the request sets."""
        return {f.name for f in fields(self) if getattr(self, f.name)}


class Usage(Data, kw_only=True):
    """What the container consumes, all of its processes together. None: not measured."""

    cpu_user_seconds: float | None = None
    cpu_system_seconds: float | None = None
    cpu_throttled_seconds: float | None = None
    cpu_periods: int | None = None  # in which it ran, and had a limit
    cpu_throttled_periods: int | None = None
    cpu_limit: float | None = None  # CPUs
    memory_bytes: int | None = None
    memory_peak_bytes: int | None = None
    memory_limit_bytes: int | None = None
    memory_soft_limit_bytes: int | None = None
    memory_with_swap_bytes: int | None = None
    memory_anon_bytes: int | None = None  # of no file
    memory_file_bytes: int | None = None  # the cache of files
    memory_mapped_bytes: int | None = None  # of that, what is mapped
    memory_inactive_file_bytes: int | None = None  # of the cache, what goes first when memory is scarce
    memory_unevictable_bytes: int | None = None
    memory_swap_bytes: int | None = None
    memory_kernel_bytes: int | None = None
    memory_tcp_bytes: int | None = None
    memory_limit_hits: int | None = None  # how often it came up against a limit
    memory_oom_kills: int | None = None  # how many processes the kernel has killed for want of memory
    page_faults: int | None = None
    major_page_faults: int | None = None  # of those, what was read from a disk
    processes: int | None = None
    threads: int | None = None  # of all of them
    hugetlb_bytes: Mapping[str, int] | None = None  # by size of the huge pages: "2MB"
    io_read_bytes: int | None = None
    io_written_bytes: int | None = None
    io_reads: int | None = None
    io_writes: int | None = None
    io_disks: Mapping[str, Mapping[str, int]] | None = None  # "254:0" → the same four, without "io_"
    disk_bytes: int | None = None
    disk_limit_bytes: int | None = None
    perf_events: Mapping[str, int] | None = None  # of each how many; clocks in nanoseconds
    perf_seconds: float | None = None  # since when they are counted
    network_rx_bytes: int | None = None  # received, by all interfaces but loopback
    network_rx_packets: int | None = None
    network_rx_errors: int | None = None
    network_rx_dropped: int | None = None
    network_tx_bytes: int | None = None  # sent
    network_tx_packets: int | None = None
    network_tx_errors: int | None = None
    network_tx_dropped: int | None = None


class Limitation(Data, kw_only=True):
    """A limit that the container ran into: one that ends it, or one that it goes on within."""

    isolator: str
    resource: str  # "memory", "pids", "disk" …
    message: str  # for people: the limit, and what was used
    fatal: bool = True  # whether it ends the container; else it is told, and kept
    limit: float | None = None  # bytes, processes, CPUs …; None: only the message has it
    usage: float | None = None  # in the same unit
