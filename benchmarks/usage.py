"""What measuring and launching a container cost, alone and with neighbours: `python -m benchmarks.usage`."""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from containerizer import Containerizer
from isolators import catalog
from isolators.cgroups.subsystem import CgroupIsolator
from isolators.isolator import ContainerConfig, Isolator, IsolatorFlags, IsolatorUnavailable
from launcher.container_id import ContainerId
from launcher.kernel import cgroups

NEIGHBOURS = 500
LOOKS = 500
LAUNCHES = 60
ROUNDS = 3
MEASURING = tuple(f"cgroups/{name}" for name in ("cpu", "mem", "pids", "hugetlb", "blkio"))


def main() -> None:
    flags = IsolatorFlags(cgroups_root=f"benchmark-{os.getpid()}")
    isolators = list(_available(flags))
    with _containers(isolators, 1) as (own,), subprocess.Popen(["sleep", "1000"]) as task:
        for isolator in isolators:
            assert isinstance(isolator, CgroupIsolator)
            cgroups.attach(isolator.cgroup(own), task.pid)
        for _ in range(ROUNDS):  # in turns: the machine may have other things to do meanwhile
            _show("alone", isolators, own)
            with _containers(isolators, NEIGHBOURS, first=1):
                _show(f"with {NEIGHBOURS} neighbours", isolators, own)
        task.kill()


def _available(flags: IsolatorFlags) -> Iterator[Isolator]:
    for name in MEASURING:
        try:
            yield from catalog.load([name], flags)
        except IsolatorUnavailable as error:
            print(f"left out: {error}")


@contextmanager
def _containers(isolators: Sequence[Isolator], count: int, first: int = 0) -> Iterator[list[ContainerId]]:
    ids = [ContainerId(f"c{number}") for number in range(first, first + count)]
    config = ContainerConfig(command=("true",))
    try:
        for container_id in ids:
            for isolator in isolators:
                isolator.prepare(container_id, config)
        yield ids
    finally:
        for container_id in ids:
            for isolator in reversed(isolators):
                isolator.cleanup(container_id)


def _show(what: str, isolators: Sequence[Isolator], container_id: ContainerId) -> None:
    medians = {isolator.name: _microseconds(isolator, container_id) for isolator in isolators}
    parts = ", ".join(f"{name} {median:.0f}" for name, median in medians.items())
    usage = f"usage {sum(medians.values()):.0f} µs ({parts})"
    print(f"{what}: {usage}, launch {_launch() * 1e3:.2f} ms", flush=True)


def _microseconds(isolator: Isolator, container_id: ContainerId) -> float:
    isolator.usage(container_id)  # which imports what it needs
    seconds = []
    for _ in range(LOOKS):
        began = time.perf_counter()
        isolator.usage(container_id)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds) * 1e6


def _launch() -> float:
    """Seconds of a container of the default isolators, to its end: the median."""
    with tempfile.TemporaryDirectory() as directory:
        seconds = []
        with Containerizer(root=f"{directory}/root", state=f"{directory}/state") as owner:
            for _ in range(LAUNCHES):
                began = time.perf_counter()
                owner.launch("host", ["true"], mem="64m", cpus=0.5, pids=20).wait()
                seconds.append(time.perf_counter() - began)
        return statistics.median(seconds)


if __name__ == "__main__":
    main()
