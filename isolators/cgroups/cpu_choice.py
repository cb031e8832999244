"""Which CPUs a container gets that asks for a number of them: near each other, and used by few.

CPUs of one NUMA node share memory, those of one core all of its caches and units. See
Documentation/ABI/stable/sysfs-devices-node and Documentation/admin-guide/cputopology.rst.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Mapping

from launcher.kernel import files

SYSFS = "/sys/devices/system"
_LIMIT = 1 << 16  # bytes of a list


def nodes(sysfs: str = SYSFS) -> dict[int, int]:
    """CPU → its NUMA node; without NUMA nothing."""
    found = {}
    directory = os.path.join(sysfs, "node")
    for name in os.listdir(directory) if os.path.isdir(directory) else ():
        if match := re.fullmatch(r"node(\d+)", name):
            for cpu in listed(_read(os.path.join(directory, name, "cpulist"))):
                found[cpu] = int(match[1])
    return found


def cores(cpus: Iterable[int], sysfs: str = SYSFS) -> dict[int, int]:
    """CPU → the first CPU of its core."""
    found = {}
    for cpu in cpus:
        path = os.path.join(sysfs, f"cpu/cpu{cpu}/topology/thread_siblings_list")
        found[cpu] = min(listed(_read(path)), default=cpu) if os.path.exists(path) else cpu
    return found


def choose(
    usable: Collection[int],
    count: int,
    load: Mapping[int, int],
    of_node: Mapping[int, int],
    of_core: Mapping[int, int],
) -> list[int] | None:
    """`count` of the usable CPUs; None if they are fewer.

    From one node where one has as many, the least used, then the one that fits best; else from as few
    nodes as can be. In a node the least used, and whole cores before halves. `load`: how many use a CPU.
    """
    by_node: dict[int, list[int]] = {}
    for cpu in usable:
        by_node.setdefault(of_node.get(cpu, 0), []).append(cpu)
    in_order = {node: _in_order(cpus, load, of_core) for node, cpus in by_node.items()}
    fitting = [node for node, cpus in in_order.items() if len(cpus) >= count]
    if fitting:
        best = min(fitting, key=lambda n: (_used(in_order[n][:count], load), len(in_order[n]), n))
        return sorted(in_order[best][:count])
    largest_first = sorted(in_order, key=lambda n: (-len(in_order[n]), n))
    together = [cpu for node in largest_first for cpu in in_order[node]]
    return sorted(together[:count]) if len(together) >= count else None


def _used(cpus: Iterable[int], load: Mapping[int, int]) -> int:
    return sum(load.get(cpu, 0) for cpu in cpus)


def _in_order(cpus: Collection[int], load: Mapping[int, int], of_core: Mapping[int, int]) -> list[int]:
    threads: dict[int, int] = {}
    for cpu in cpus:
        core = of_core.get(cpu, cpu)
        threads[core] = threads.get(core, 0) + 1
    # Of a core whose other half somebody has, the rest comes last.
    most = max(threads.values(), default=1)

    def key(cpu: int) -> tuple[int, bool, int, int]:
        core = of_core.get(cpu, cpu)
        return load.get(cpu, 0), threads[core] < most, core, cpu

    return sorted(cpus, key=key)


def listed(text: str) -> list[int]:
    """The numbers of a list that the kernel wrote, "0-3,5"."""
    found: list[int] = []
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        found.extend(range(int(first), int(last or first) + 1))
    return found


def _read(path: str) -> str:
    return files.read(path, _LIMIT).decode()
