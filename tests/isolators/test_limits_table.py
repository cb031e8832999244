"""Memory, CPU time and processes, limited at each level of nesting: set, lowered and undone, by effect.

The same of disks, huge pages, CPUs' numbers and devices is in the tests of those isolators.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from isolators.cgroups.cpu import CgroupsCpu
from isolators.cgroups.mem import CgroupsMem
from isolators.cgroups.pids import CgroupsPids
from isolators.cgroups.subsystem import CgroupIsolator
from isolators.isolator import IsolatorFlags
from isolators.resources import Resources
from launcher.container_id import ContainerId
from launcher.data import replace
from launcher.kernel import cgroups
from tests.isolators.support import CONFIG, WEB, go, task

MEBIBYTE = 1 << 20
PATIENCE = 60  # seconds until a test gives up

HOLD = f"held = bytearray(b'1') * (int(sys.argv[1]) * {MEBIBYTE})"
SPIN = """
import time
began, end = time.monotonic(), time.process_time() + 0.1
while time.process_time() < end:
    pass
print(time.monotonic() - began, flush=True)
"""
FORK = """
import os, signal
children = []
try:
    while len(children) < 20:
        child = os.fork()
        if child == 0:
            signal.pause()
        children.append(child)
except BlockingIOError:
    pass
print(len(children), flush=True)
for child in children:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""

pytestmark = [pytest.mark.requires("root", "cgroup"), pytest.mark.parametrize("depth", [0, 1, 3])]


@pytest.fixture
def flags(tmp_path_factory: pytest.TempPathFactory) -> IsolatorFlags:
    state = str(tmp_path_factory.mktemp("state"))
    return IsolatorFlags(cgroups_root=f"containerizer-test-{os.getpid()}", own_state=state)


@contextmanager
def limited(isolator: CgroupIsolator, depth: int, resources: Resources) -> Iterator[ContainerId]:
    """A container so deep in others that have no limits; gone with them afterwards."""
    chain = [WEB]
    for level in range(depth):
        chain.append(ContainerId(f"level-{level}", chain[-1]))
    try:
        for container_id in chain[:-1]:
            isolator.prepare(container_id, CONFIG)
        isolator.prepare(chain[-1], replace(CONFIG, resources=resources))
        yield chain[-1]
    finally:
        for container_id in reversed(chain):
            isolator.cleanup(container_id)
    assert not os.path.exists(isolator.cgroup(WEB))


def ran(
    isolator: CgroupIsolator, container_id: ContainerId, program: str, *arguments: str
) -> tuple[int, str]:
    """How it ended in the container, and what it said."""
    with task(program, *arguments) as process:
        cgroups.attach(isolator.cgroup(container_id), process.pid)
        go(process)
        output, _ = process.communicate(timeout=PATIENCE)
        return process.returncode, output.decode()


def said(isolator: CgroupIsolator, container_id: ContainerId, program: str) -> float:
    return float(ran(isolator, container_id, program)[1])


def test_memory(flags: IsolatorFlags, depth: int) -> None:
    isolator = CgroupsMem(flags)

    def end(mebibytes: int) -> int:
        return ran(isolator, container, HOLD, str(mebibytes))[0]

    with limited(isolator, depth, Resources(memory=96 * MEBIBYTE)) as container:
        assert (end(48), end(128)) == (0, -9)
        isolator.update(container, Resources(memory=32 * MEBIBYTE))
        assert end(48) == -9
        isolator.update(container, Resources(memory=-1))
        assert end(128) == 0


def test_cpu_time(flags: IsolatorFlags, depth: int) -> None:
    """What is given out at once, and carried over, is some 5 ms a processor."""
    isolator = CgroupsCpu(flags)
    with limited(isolator, depth, Resources(cpus=0.2)) as container:
        assert said(isolator, container, SPIN) >= 0.3  # 0.1 s of time, 0.02 s in each 0.1 s
        isolator.update(container, Resources(cpus=0.1))
        assert said(isolator, container, SPIN) >= 0.6
        throttled = isolator.usage(container).cpu_throttled_periods
        isolator.update(container, Resources(cpus=-1))
        said(isolator, container, SPIN)
        assert throttled and isolator.usage(container).cpu_throttled_periods == throttled


def test_processes(flags: IsolatorFlags, depth: int) -> None:
    isolator = CgroupsPids(flags)
    with limited(isolator, depth, Resources(pids=9)) as container:
        assert said(isolator, container, FORK) == 8
        isolator.update(container, Resources(pids=3))
        assert said(isolator, container, FORK) == 2
        isolator.update(container, Resources(pids=-1))
        assert said(isolator, container, FORK) == 20
