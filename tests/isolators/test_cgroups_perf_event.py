"""cgroups/perf_event: what is counted of a container's tasks, and of nobody else's, on v1 and v2."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from isolators.cgroups.perf_event import CgroupsPerfEvent
from isolators.isolator import IsolatorFlags
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest
from launcher.kernel import cgroups, perf
from launcher.kernel.cgroups import CgroupError
from tests.isolators.support import CONFIG, WEB, go, task
from tests.support import hierarchy

pytestmark = pytest.mark.requires("root")

FLAGS = IsolatorFlags(cgroups_root=f"containerizer-test-{os.getpid()}-perf")
OTHER = ContainerId("other")

# Uses a fifth of a second of processor time, and touches 2000 pages; then says so, and waits.
_WORK = """
import time, mmap
end = time.process_time() + 0.2
while time.process_time() < end:
    pass
with mmap.mmap(-1, 2000 * mmap.PAGESIZE) as pages:
    for page in range(2000):
        pages[page * mmap.PAGESIZE] = 1
for _ in range(20):
    time.sleep(0.001)
print(flush=True)
sys.stdin.readline()
"""


@pytest.fixture(params=["v1", "v2"])
def perf_event(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CgroupsPerfEvent]:
    found = cgroups.find("perf_event")
    if request.param == "v2":
        unified = [h for h in cgroups.hierarchies() if h.version == 2]
        if not unified or found:
            pytest.skip("no cgroup v2 whose events are counted")
        yield from _made(cgroups.MOUNTINFO)
        return
    if found is None and any(h.version == 2 and h.controllers for h in cgroups.hierarchies()):
        pytest.skip("the kernel counts by cgroup v2")
    with hierarchy.v1("perf_event", tmp_path) as mountinfo:
        yield from _made(mountinfo)


def _made(mountinfo: str) -> Iterator[CgroupsPerfEvent]:
    isolator = CgroupsPerfEvent(FLAGS, mountinfo)
    yield isolator
    for container in (WEB, OTHER):
        isolator.cleanup(container)


def work(isolator: CgroupsPerfEvent, container_id: ContainerId) -> None:
    with task(_WORK) as process:
        cgroups.attach(isolator.cgroup(container_id), process.pid)
        go(process)
        assert process.stdout and process.stdout.readline()


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_what_is_in_a_container_is_counted(perf_event: CgroupsPerfEvent, depth: int) -> None:
    container = WEB
    perf_event.prepare(OTHER, CONFIG)
    perf_event.prepare(WEB, CONFIG)
    for level in range(depth):
        container = ContainerId(f"level-{level}", container)
        perf_event.prepare(container, CONFIG)
    first = perf_event.usage(WEB)
    assert first.perf_events == dict.fromkeys(FLAGS.perf_events, 0)
    perf_event.usage(OTHER)
    work(perf_event, container)
    usage = perf_event.usage(WEB)  # and what is nested in it
    assert usage.perf_events and usage.perf_seconds and first.perf_seconds is not None
    assert usage.perf_seconds > first.perf_seconds
    assert usage.perf_events["task-clock"] >= 150_000_000
    assert usage.perf_events["page-faults"] >= 1000
    assert usage.perf_events["context-switches"] >= 20
    assert perf_event.usage(OTHER).perf_events == dict.fromkeys(FLAGS.perf_events, 0)


def test_counters_of_containers_that_others_have_ended_are_closed(perf_event: CgroupsPerfEvent) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for number in range(200):
        container = ContainerId(f"c{number}")
        perf_event.prepare(container, CONFIG)
        perf_event.usage(container)
        cgroups.remove(perf_event.cgroup(container))  # another process has
    assert len(os.listdir("/proc/self/fd")) - before < 50 * len(FLAGS.perf_events) * len(perf.online())
    for number in range(200):
        perf_event.cleanup(ContainerId(f"c{number}"))
    assert len(os.listdir("/proc/self/fd")) == before


def test_events_that_there_are_not() -> None:
    with pytest.raises(InvalidRequest, match="'no-such'"):
        CgroupsPerfEvent(IsolatorFlags(perf_events=("no-such",)))


def test_what_this_host_cannot_count_is_told_by_name(perf_event: CgroupsPerfEvent) -> None:
    perf_event.prepare(WEB, CONFIG)
    flags = IsolatorFlags(cgroups_root=FLAGS.cgroups_root, perf_events=("node-prefetch-misses",))
    other = CgroupsPerfEvent(flags)
    other.hierarchy = perf_event.hierarchy
    try:
        assert other.usage(WEB).perf_events
    except CgroupError as error:
        assert "node-prefetch-misses" in error.message


def test_events_have_the_numbers_of_the_kernel() -> None:
    assert perf.EVENTS["instructions"] == (0, 1)
    assert perf.EVENTS["page-faults"] == (1, 2)
    assert perf.EVENTS["LLC-load-misses"] == (3, 0x10002)
    assert perf.EVENTS["dTLB-store-misses"] == (3, 0x10103)
