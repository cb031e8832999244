"""Requests and limits of memory and CPU time, by their effect on real processes, on either version."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from pathlib import Path

import pytest

from isolators.cgroups.cpu import CgroupsCpu
from isolators.cgroups.mem import CgroupsMem
from isolators.cgroups.subsystem import CgroupIsolator
from isolators.isolator import IsolatorFlags
from isolators.resources import Resources
from launcher.container_id import ContainerId
from launcher.data import replace
from launcher.kernel import cgroups
from tests.isolators.support import CONFIG, WEB, go, task

MEBIBYTE = 1 << 20
PATIENCE = 30  # seconds until a test gives up

HOLD = f"""
size = int(sys.argv[1]) * {MEBIBYTE}
held = bytearray(b"1") * size
print(flush=True)
sys.stdin.readline()
held += bytearray(b"1") * size
print(flush=True)
sys.stdin.readline()
"""

# Reads a file of so many MiB through the cache, again each time that it is told to.
READ = f"""
for line in sys.stdin:
    with open(sys.argv[1], "rb", buffering=0) as file:
        while file.read({MEBIBYTE}):
            pass
    print(flush=True)
"""

# Sleeps, which saves CPU time up, and then spins for longer than a quota, until it is killed.
BURST = """
import time
print(flush=True)
while True:
    time.sleep(0.12)
    end = time.process_time() + 0.03
    while time.process_time() < end:
        pass
"""

pytestmark = pytest.mark.requires("root", "cgroup")

swap = pytest.mark.skipif(
    len(Path("/proc/swaps").read_text().splitlines()) < 2, reason="this host has no swap"
)


@pytest.fixture
def flags(tmp_path: Path) -> IsolatorFlags:
    return IsolatorFlags(cgroups_root=f"containerizer-test-{os.getpid()}", own_state=str(tmp_path / "state"))


@pytest.fixture
def mem(flags: IsolatorFlags) -> Iterator[CgroupsMem]:
    isolator = CgroupsMem(flags)
    yield isolator
    isolator.cleanup(WEB)
    assert not os.path.exists(flags.own_state) or os.listdir(flags.own_state) == []


@pytest.fixture
def cpu(flags: IsolatorFlags) -> Iterator[CgroupsCpu]:
    isolator = CgroupsCpu(flags)
    yield isolator
    isolator.cleanup(WEB)


def prepare(isolator: CgroupIsolator, container_id: ContainerId = WEB, **asked: object) -> None:
    resources = Resources(**asked)
    isolator.check(resources)
    isolator.prepare(container_id, replace(CONFIG, resources=resources))


@swap
def test_swap_holds_what_is_beyond_the_memory(mem: CgroupsMem) -> None:
    prepare(mem, memory=32 * MEBIBYTE, memory_swap=160 * MEBIBYTE)
    with task(HOLD, "64") as process:
        cgroups.attach(mem.cgroup(WEB), process.pid)
        go(process)
        assert process.stdout and process.stdout.readline() == b"\n"
        used = mem.usage(WEB)
        assert used.memory_bytes and used.memory_bytes <= 32 * MEBIBYTE
        assert used.memory_swap_bytes and used.memory_swap_bytes >= 24 * MEBIBYTE
        assert used.memory_with_swap_bytes and used.memory_with_swap_bytes >= 64 * MEBIBYTE
        mem.update(WEB, Resources(memory=32 * MEBIBYTE, memory_swap=80 * MEBIBYTE))
        go(process)
        assert process.wait(PATIENCE) == -9


@swap
def test_without_a_limit_of_swap_there_is_all_of_the_hosts(mem: CgroupsMem) -> None:
    prepare(mem, memory=32 * MEBIBYTE, memory_swap=-1)
    with task(HOLD, "48") as process:
        cgroups.attach(mem.cgroup(WEB), process.pid)
        for _ in range(2):
            go(process)
            assert process.stdout and process.stdout.readline() == b"\n"


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_only_the_victim_ends_where_that_is_asked(mem: CgroupsMem, depth: int) -> None:
    container = WEB
    for level in range(depth):
        prepare(mem, container)
        container = ContainerId(f"level-{level}", container)
    prepare(mem, container, memory=64 * MEBIBYTE, oom_group=False)
    watch = mem.watch(container)
    descriptor = watch.fileno()
    assert descriptor is not None
    with task("sys.stdin.readline()") as other, task(HOLD, "200") as victim:
        for process in (other, victim):
            cgroups.attach(mem.cgroup(container), process.pid)
        go(victim)
        assert select.select([descriptor], [], [descriptor], PATIENCE) != ([], [], [])
        assert victim.wait(PATIENCE) == -9
        told = watch.check()
        assert told and not told.fatal and told.limit == 64 * MEBIBYTE
        assert watch.check() is None  # it is told once
        assert mem.reached(container) == (told,)
        assert other.poll() is None
        mem.update(container, Resources(memory=64 * MEBIBYTE))
        again = watch.check()
        assert again and again.fatal
        assert mem.reached(container) == ()
    watch.close()


def test_all_end_where_nothing_is_asked(mem: CgroupsMem) -> None:
    prepare(mem, memory=64 * MEBIBYTE)
    watch = mem.watch(WEB)
    with task("sys.stdin.readline()") as other, task(HOLD, "200") as victim:
        for process in (other, victim):
            cgroups.attach(mem.cgroup(WEB), process.pid)
        go(victim)
        assert victim.wait(PATIENCE) == -9
        if mem.hierarchy.version == 2:
            assert other.wait(PATIENCE) == -9
        told = watch.check()
        assert told and told.fatal  # on v1 whoever watches ends the others
    watch.close()


def test_beyond_its_high_mark_memory_is_taken_back(mem: CgroupsMem, tmp_path: Path) -> None:
    if mem.hierarchy.version == 1:
        pytest.skip("cgroup v1 has no memory.high")
    big = sparse(tmp_path / "big", 64)
    prepare(mem)
    with task(READ, big) as process:
        cgroups.attach(mem.cgroup(WEB), process.pid)
        go(process)
        assert cached(mem, process) >= 60 * MEBIBYTE
        mem.update(WEB, Resources(memory_high=24 * MEBIBYTE))
        assert cached(mem, process) <= 24 * MEBIBYTE


def test_what_is_reserved_stays_when_others_want_it(mem: CgroupsMem, tmp_path: Path) -> None:
    """v1 heeds it only when the whole host lacks memory."""
    if mem.hierarchy.version == 1:
        pytest.skip("cgroup v1 has a soft limit only")
    small, big = sparse(tmp_path / "small", 24), sparse(tmp_path / "big", 128)
    prepare(mem, memory=64 * MEBIBYTE)
    keeper, other = ContainerId("keeper", WEB), ContainerId("other", WEB)
    prepare(mem, keeper, memory_reservation=32 * MEBIBYTE)
    prepare(mem, other)
    with task(READ, small) as keeping, task(READ, big) as wanting:
        cgroups.attach(mem.cgroup(keeper), keeping.pid)
        cgroups.attach(mem.cgroup(other), wanting.pid)
        for process in (keeping, wanting):
            go(process)
        assert cached(mem, keeping, keeper) >= 23 * MEBIBYTE
        for _ in range(2):
            cached(mem, wanting, other)
        assert mem.usage(keeper).memory_file_bytes >= 22 * MEBIBYTE  # type: ignore[operator]
        mem.update(keeper, Resources())
        for _ in range(4):
            cached(mem, wanting, other)
        assert mem.usage(keeper).memory_file_bytes < 20 * MEBIBYTE  # type: ignore[operator]


def test_a_request_of_memory_is_written_and_undone(mem: CgroupsMem) -> None:
    prepare(mem, memory_reservation=32 * MEBIBYTE)
    assert mem.usage(WEB).memory_soft_limit_bytes == 32 * MEBIBYTE
    mem.update(WEB, Resources(memory_reservation=-1))
    assert mem.usage(WEB).memory_soft_limit_bytes is None


def test_saved_cpu_time_is_used_in_a_burst(cpu: CgroupsCpu) -> None:
    if not cgroups.has(cpu.hierarchy.mount_point, "cpu.cfs_burst_us") and cpu.hierarchy.version == 1:
        pytest.skip("this kernel saves no CPU time up")
    prepare(cpu, cpu_quota=20_000, cpu_period=100_000, cpu_burst=20_000)
    with task(BURST) as process:
        cgroups.attach(cpu.cgroup(WEB), process.pid)
        go(process)
        assert process.stdout and process.stdout.readline() == b"\n"
        while not cgroups.read_flat(cpu.cgroup(WEB), "cpu.stat")["nr_bursts"]:
            assert process.poll() is None
            os.sched_yield()
    assert cpu.usage(WEB).cpu_periods


def test_quota_and_period_move_below_a_parents(cpu: CgroupsCpu) -> None:
    """On v1 no ratio may be above the parent's, not even for a moment."""
    nested = ContainerId("nested", WEB)
    prepare(cpu, cpus=0.5)
    prepare(cpu, nested, cpu_quota=40_000)
    for quota, period in ((4_000, 10_000), (400_000, 1_000_000), (50_000, 100_000)):
        cpu.update(nested, Resources(cpu_quota=quota, cpu_period=period))
        file = "cpu.max" if cpu.hierarchy.version == 2 else "cpu.cfs_quota_us"
        assert cgroups.read(cpu.cgroup(nested), file).split()[0] == str(quota)
    cpu.update(nested, Resources())


def sparse(path: Path, mebibytes: int) -> str:
    path.touch()
    os.truncate(path, mebibytes * MEBIBYTE)
    return str(path)


def cached(mem: CgroupsMem, reader: object, container_id: ContainerId = WEB) -> int:
    """Bytes of files in memory, after it has read all of its own."""
    go(reader)  # type: ignore[arg-type]
    assert reader.stdout.readline() == b"\n"  # type: ignore[attr-defined]
    found = mem.usage(container_id).memory_file_bytes
    assert found is not None
    return found
