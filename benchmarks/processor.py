"""`python -m benchmarks.processor`: the processor's time of a launch, and that of its system calls alone.

On a machine that others use too it says more than seconds and rates do: the kernel counts it for the cgroups
of this program, with whatever it starts, and of the containers. What its own threads do is not in it (the end
of network namespaces and cgroups, grace periods). Needs a cpuacct hierarchy of cgroup v1.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import floor
from benchmarks.interleave import machine
from benchmarks.launch_setting import Setting
from containerizer import Containerizer, cgroups_root
from launcher.kernel import cgroups

ROUNDS = 5
LAUNCHES = 100  # in each
WARM = 5


def main() -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="bench-") as temporary, accounted() as usage:
        setting = Setting(Path(temporary))
        print(f"{machine()}; store on tmpfs; {ROUNDS} rounds of {LAUNCHES} launches")
        root, state = setting.directories
        rounds: dict[str, list[float]] = {}
        with Containerizer(root=root, state=state) as containerizer:
            floors = floor.programs(setting, containerizer)
            used = partial(usage, cgroups_root.own(state))

            def launch() -> None:
                container = containerizer.launch(setting.image, ["true"], mem="64m", cpus=0.5, pids=20)
                container.wait()
                container.remove()

            for _ in range(ROUNDS):
                ours = _each(launch, used)
                rounds.setdefault("a launch", []).append(ours[0])
                rounds.setdefault("of it, by the launching process", []).append(ours[1])
                for kind, once in floors.items():
                    both = _each(once, used)  # the second is Python's, which writes its program
                    rounds.setdefault(f"the floor: {kind}", []).append(both[0] - both[1])
        print("| milliseconds of processor time | median |\n| --- | ---: |")
        for what, values in rounds.items():
            print(f"| {what} | {statistics.median(values):.2f} |")


def _each(work: Callable[[], object], used: Callable[[], int]) -> tuple[float, float]:
    """Milliseconds, of all processes and of this one."""
    for _ in range(WARM):
        work()
    before, own = used(), time.process_time_ns()
    for _ in range(LAUNCHES):
        work()
    both = used() - before, time.process_time_ns() - own
    return both[0] / LAUNCHES / 1e6, both[1] / LAUNCHES / 1e6


@contextmanager
def accounted() -> Iterator[Callable[[str], int]]:
    """Be in a cgroup of our own; what tells the nanoseconds used in it and in another one."""
    hierarchy = cgroups.find("cpuacct")
    assert hierarchy is not None and hierarchy.version == 1, "there is no cpuacct hierarchy"
    top = hierarchy.mount_point
    own = cgroups.create(hierarchy, f"bench-processor-{os.getpid()}", "cpuacct")
    cgroups.attach(own, os.getpid())
    try:
        yield lambda other: sum(int(cgroups.read(each, "cpuacct.usage")) for each in (own, f"{top}/{other}"))
    finally:
        cgroups.attach(top, os.getpid())
        cgroups.remove(own)


if __name__ == "__main__":
    main()
