"""perf_event_open(2): counters of what the processes in a cgroup do, one for each event and processor.

The events have the names that perf(1) gives them. See linux/perf_event.h.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import time
from collections.abc import Iterator, Mapping

from launcher.kernel.libc import SyscallError, syscall

_NUMBERS = {"x86_64": 298, "aarch64": 241}  # asm/unistd.h
_PID_CGROUP, _FD_CLOEXEC = 1 << 2, 1 << 3
_ATTRIBUTES = struct.Struct("=IIQQQQQ16x")  # struct perf_event_attr, as it first was
_READ_FORMAT = 1 << 0 | 1 << 1  # with the time that it was enabled, and that it was counting
_VALUES = struct.Struct("=QQQ")

_HARDWARE, _SOFTWARE, _CACHE = 0, 1, 3
_ONLINE = "/sys/devices/system/cpu/online"

_HARDWARE_EVENTS = (
    *("cycles", "instructions", "cache-references", "cache-misses", "branches", "branch-misses"),
    *("bus-cycles", "stalled-cycles-frontend", "stalled-cycles-backend", "ref-cycles"),
)
_SOFTWARE_EVENTS = (
    *("cpu-clock", "task-clock", "page-faults", "context-switches", "cpu-migrations"),
    *("minor-faults", "major-faults", "alignment-faults", "emulation-faults"),
)
_CACHES = ("L1-dcache", "L1-icache", "LLC", "dTLB", "iTLB", "branch", "node")
_OPERATIONS = ("load", "store", "prefetch")


def _events() -> Iterator[tuple[str, tuple[int, int]]]:
    for number, name in enumerate(_HARDWARE_EVENTS):
        yield name, (_HARDWARE, number)
    for number, name in enumerate(_SOFTWARE_EVENTS):
        yield name, (_SOFTWARE, number)
    for cache, where in enumerate(_CACHES):
        for operation, what in enumerate(_OPERATIONS):
            plural = f"{what}es" if what.endswith("h") else f"{what}s"
            yield f"{where}-{plural}", (_CACHE, cache | operation << 8)
            yield f"{where}-{what}-misses", (_CACHE, cache | operation << 8 | 1 << 16)


EVENTS: Mapping[str, tuple[int, int]] = dict(_events())  # name → type, configuration


class Counters:
    """Counters of some events for all that is in a cgroup and below it. To be closed."""

    def __init__(self, cgroup: str, events: tuple[str, ...]) -> None:
        """`cgroup`: of v1's perf_event, or of v2. Raises SyscallError for what this host cannot count."""
        self._began = time.monotonic()
        self._open: dict[str, list[int]] = {name: [] for name in events}
        directory = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for name in events:
                for cpu in online():
                    self._open[name].append(_open(directory, cpu, name))
        except BaseException:
            self.close()
            raise
        finally:
            os.close(directory)

    @property
    def seconds(self) -> float:
        """Since when it is counted."""
        return time.monotonic() - self._began

    def read(self) -> dict[str, int]:
        """How many there were of each event so far; of clocks the nanoseconds.

        Where there are more events than the processor has counters, which take turns, an estimate.
        """
        return {name: _sum(descriptors) for name, descriptors in self._open.items()}

    def close(self) -> None:
        """Idempotent."""
        for descriptors in self._open.values():
            while descriptors:
                os.close(descriptors.pop())


def online() -> list[int]:
    """The processors that are there."""
    with open(_ONLINE) as file:
        parts = [part.partition("-") for part in file.read().strip().split(",")]
    return [cpu for first, _, last in parts for cpu in range(int(first), int(last or first) + 1)]


def _open(cgroup: int, cpu: int, name: str) -> int:
    kind, config = EVENTS[name]
    number = _NUMBERS.get(os.uname().machine)
    if number is None:
        raise SyscallError("perf_event_open", errno.ENOSYS, name)
    attributes = _ATTRIBUTES.pack(kind, _ATTRIBUTES.size, config, 0, 0, _READ_FORMAT, 0)
    return syscall(
        "perf_event_open",
        number,
        name,
        ctypes.create_string_buffer(attributes, len(attributes)),
        *map(ctypes.c_int, (cgroup, cpu, -1)),
        ctypes.c_ulong(_PID_CGROUP | _FD_CLOEXEC),
    )


def _sum(descriptors: list[int]) -> int:
    total = 0
    for descriptor in descriptors:
        value, enabled, running = _VALUES.unpack(os.read(descriptor, _VALUES.size))
        total += value * enabled // running if 0 < running < enabled else value
    return total
