"""Limits by their effect: real processes in real cgroups of this host, whichever version it has."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from pathlib import Path

import pytest

from isolators.cgroups.cpu import CgroupsCpu
from isolators.cgroups.mem import CgroupsMem
from isolators.cgroups.pids import MAXIMUM, CgroupsPids
from isolators.cgroups.subsystem import CgroupIsolator
from isolators.isolator import IsolatorFlags
from isolators.resources import Resources
from launcher.container_id import ContainerId
from launcher.data import replace
from launcher.kernel import cgroups
from launcher.kernel.cgroups import CgroupError
from tests.isolators.support import CONFIG, WEB, go, task

FLAGS = IsolatorFlags(cgroups_root=f"containerizer-test-{os.getpid()}")
MEBIBYTE = 1 << 20
PATIENCE = 30  # seconds until a test gives up

HOG = f"held = bytearray({200 * MEBIBYTE})"
HOLD = f"""
import ctypes
held = bytearray({32 * MEBIBYTE})
assert ctypes.CDLL(None).mlockall(1) == 0  # MCL_CURRENT: where there is swap, it would go there
print(flush=True)
sys.stdin.readline()
"""
CACHE = """
import os
with open("{path}", "wb") as file:
    for _ in range(64):
        file.write(bytes(1 << 20))
    file.flush()
    os.fsync(file.fileno())
print(flush=True)
sys.stdin.readline()
"""
# Fills connections that nobody reads from, each as far as it goes; then says how much they have taken.
FILL_CONNECTIONS = f"""
import socket
listening = socket.create_server(("127.0.0.1", 0))
kept, queued = [listening], 0
for _ in range(60):
    kept += [socket.create_connection(listening.getsockname()), listening.accept()[0]]
    for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
        kept[-2].setsockopt(socket.SOL_SOCKET, option, {4 * MEBIBYTE})
        kept[-1].setsockopt(socket.SOL_SOCKET, option, {4 * MEBIBYTE})
    kept[-2].setblocking(False)
    try:
        while True:
            queued += kept[-2].send(bytes(65536))
    except BlockingIOError:
        pass
print(queued, flush=True)
sys.stdin.readline()
"""
FORK = """
import os
forked = 0
try:
    for _ in range(50):
        if os.fork() == 0:
            sys.stdin.readline()
            os._exit(0)
        forked += 1
except BlockingIOError:
    print(forked, flush=True)
sys.stdin.readline()
"""
SPIN = """
import time
end = time.process_time() + 0.2
while time.process_time() < end:
    pass
"""

pytestmark = pytest.mark.requires("root", "cgroup")
V1_ONLY = pytest.mark.requires("cgroup1")


def attach(isolator: CgroupIsolator, container_id: ContainerId, pid: int) -> None:
    """Move a process where the child of a launch moves itself."""
    info = isolator.contribute(container_id, CONFIG)
    for cgroup in (*info.cgroups_v1, *filter(None, [info.cgroup_v2])):
        cgroups.attach(cgroup, pid)


def prepare(isolator: CgroupIsolator, resources: Resources, container_id: ContainerId = WEB) -> None:
    isolator.prepare(container_id, replace(CONFIG, resources=resources))


@pytest.fixture
def mem() -> Iterator[CgroupsMem]:
    isolator = CgroupsMem(FLAGS)
    yield isolator
    isolator.cleanup(WEB)


@pytest.fixture
def pids() -> Iterator[CgroupsPids]:
    isolator = CgroupsPids(FLAGS)
    yield isolator
    isolator.cleanup(WEB)


@pytest.fixture
def cpu() -> Iterator[CgroupsCpu]:
    isolator = CgroupsCpu(FLAGS)
    yield isolator
    isolator.cleanup(WEB)


def test_memory_hog_is_killed_and_reported(mem: CgroupsMem) -> None:
    prepare(mem, Resources(memory=64 * MEBIBYTE))
    watch = mem.watch(WEB)
    descriptor = watch.fileno()
    assert descriptor is not None
    with task(HOG) as process:
        attach(mem, WEB, process.pid)
        assert watch.check() is None
        go(process)
        assert select.select([descriptor], [], [descriptor], PATIENCE) != ([], [], [])
        assert process.wait(PATIENCE) == -9
    limitation = watch.check()
    watch.close()
    assert limitation and limitation.isolator == "cgroups/mem"
    assert limitation.message == "the kernel killed for want of memory: limit 64.0 MiB, peak use 64.0 MiB"


def test_kill_before_the_watch_is_reported_too(mem: CgroupsMem) -> None:
    prepare(mem, Resources(memory=64 * MEBIBYTE))
    with task(HOG) as process:
        attach(mem, WEB, process.pid)
        go(process)
        process.wait(PATIENCE)
    watch = mem.watch(WEB)
    assert watch.check() is not None
    assert mem.limitation(WEB) == watch.check()
    watch.close()
    mem.cleanup(WEB)
    assert mem.limitation(WEB) is None


def test_memory_limit_moves_both_ways(mem: CgroupsMem) -> None:
    prepare(mem, Resources(memory=64 * MEBIBYTE))
    for size in (16 * MEBIBYTE, 128 * MEBIBYTE, None):
        mem.update(WEB, Resources(memory=size))
        assert mem.usage(WEB).memory_limit_bytes == size


def test_limit_below_what_is_in_use_is_refused(mem: CgroupsMem) -> None:
    """v2 would take it, and kill."""
    prepare(mem, Resources(memory=64 * MEBIBYTE))
    with task(HOLD) as process:
        attach(mem, WEB, process.pid)
        go(process)
        assert process.stdout and process.stdout.readline() == b"\n"
        refused = r"(limit_in_bytes|memory.max): device or resource busy"
        with pytest.raises(CgroupError, match=refused) as caught:
            mem.update(WEB, Resources(memory=8 * MEBIBYTE))
        assert "the container uses" in str(caught.value.hint)
        assert process.poll() is None
        used = mem.usage(WEB).memory_bytes
        assert used and used >= 32 * MEBIBYTE
        assert mem.usage(WEB).memory_limit_bytes == 64 * MEBIBYTE
        if mem.hierarchy.version == 2:
            assert cgroups.read(mem.cgroup(WEB), "memory.high") == "max"


def test_files_contents_make_room_for_a_lower_limit(mem: CgroupsMem, tmp_path: Path) -> None:
    prepare(mem, Resources(memory=128 * MEBIBYTE))
    with task(CACHE.format(path=tmp_path / "file")) as process:
        attach(mem, WEB, process.pid)
        go(process)
        assert process.stdout and process.stdout.readline() == b"\n"
        used = mem.usage(WEB).memory_bytes
        assert used and used >= 64 * MEBIBYTE
        mem.update(WEB, Resources(memory=24 * MEBIBYTE))
        assert process.poll() is None
        used = mem.usage(WEB).memory_bytes
        assert used and used <= 24 * MEBIBYTE
        if mem.hierarchy.version == 2:
            assert cgroups.read(mem.cgroup(WEB), "memory.high") == "max"
    assert mem.limitation(WEB) is None


@pytest.mark.requires("cgroup2")
def test_who_is_slowed_down_is_told_of_once(mem: CgroupsMem) -> None:
    prepare(mem, Resources(memory_high=16 * MEBIBYTE))
    watch = mem.watch(WEB)
    assert watch.check() is None
    with task("held = bytearray(24 << 20)\nprint(flush=True)\nsys.stdin.readline()") as process:
        attach(mem, WEB, process.pid)
        go(process)
        (descriptor,) = filter(None, [watch.fileno()])
        assert select.select([descriptor], [], [], PATIENCE)[0]
        assert process.stdout and process.stdout.readline() == b"\n"
        told = watch.check()
        assert watch.check() is None
    watch.close()
    assert told is not None
    assert (told.resource, told.fatal, told.limit) == ("memory_high", False, 16 * MEBIBYTE)
    assert [each.resource for each in mem.reached(WEB)] == ["memory_high"]


def test_nested_container_is_held_by_its_parents_limit(mem: CgroupsMem) -> None:
    nested = ContainerId("nested", WEB)
    prepare(mem, Resources(memory=64 * MEBIBYTE))
    prepare(mem, Resources(), nested)
    assert Path(mem.cgroup(nested)).parent == Path(mem.cgroup(WEB))
    with task(HOG) as process:
        attach(mem, nested, process.pid)
        go(process)
        assert process.wait(PATIENCE) == -9
    mem.cleanup(nested)


@pytest.mark.parametrize("depth", [0, 2])
@pytest.mark.parametrize("later", [False, True])
def test_what_waits_in_connections_is_limited(mem: CgroupsMem, depth: int, *, later: bool) -> None:
    """v1 counts it in no cgroup that was not told to; nested ones are told with that around them."""
    limit = Resources(memory=48 * MEBIBYTE)
    prepare(mem, Resources() if later else limit)
    chain = [WEB]
    for level in range(depth):
        chain.append(ContainerId(f"level-{level}", chain[-1]))
        prepare(mem, Resources(), chain[-1])
    if later:
        mem.update(WEB, limit)
    with task(FILL_CONNECTIONS) as process:
        attach(mem, chain[-1], process.pid)
        go(process)
        assert process.stdout
        queued = int(process.stdout.readline())
        assert mem.usage(WEB).memory_tcp_bytes or mem.hierarchy.version == 2
    assert MEBIBYTE < queued < 64 * MEBIBYTE
    for container_id in reversed(chain[1:]):
        mem.cleanup(container_id)


def test_fork_bomb_stops_at_the_limit(pids: CgroupsPids) -> None:
    prepare(pids, Resources(pids=5))
    with task(FORK) as process:
        attach(pids, WEB, process.pid)
        go(process)
        assert process.stdout and process.stdout.readline() == b"4\n"
        assert pids.usage(WEB).processes == 5
        assert pids.status(WEB)["pids_refused_forks"] == 1


def test_cpu_time_is_limited_and_measured(cpu: CgroupsCpu) -> None:
    prepare(cpu, Resources(cpus=0.1))
    with task(SPIN) as process:
        attach(cpu, WEB, process.pid)
        go(process)
        assert process.wait(PATIENCE) == 0
    usage = cpu.usage(WEB)
    assert usage.cpu_user_seconds is not None and usage.cpu_system_seconds is not None
    assert usage.cpu_user_seconds + usage.cpu_system_seconds >= 0.15  # of 0.2, in ticks of 0.01
    assert usage.cpu_throttled_seconds and usage.cpu_throttled_seconds > 0


@V1_ONLY
def test_parents_limit_bounds_the_nested_quota(cpu: CgroupsCpu) -> None:
    nested = ContainerId("nested", WEB)
    prepare(cpu, Resources(cpus=0.1))
    with pytest.raises(CgroupError, match=r"cannot write '50000' to .*cpu.cfs_quota_us: invalid argument"):
        prepare(cpu, Resources(cpus=0.5), nested)
    cpu.cleanup(nested)


def test_a_refused_fork_is_told_once_and_ends_nothing(pids: CgroupsPids) -> None:
    prepare(pids, Resources(pids=5))
    watch = pids.watch(WEB)
    assert watch is not None and watch.check() is None
    assert pids.reached(WEB) == ()
    with task(FORK) as process:
        attach(pids, WEB, process.pid)
        go(process)
        assert process.stdout and process.stdout.readline() == b"4\n"
        (descriptor,) = filter(None, [watch.fileno()])
        assert select.select([descriptor], [], [], PATIENCE)[0]
        told = watch.check()
        assert watch.check() is None
        assert select.select([descriptor], [], [], 0)[0] == []
        (reached,) = pids.reached(WEB)
    watch.close()
    assert told == reached
    assert (told.fatal, told.limit, told.usage) == (False, 5, 5)
    assert told.message == "fork was refused once: limit 5, 5 processes and threads now"


def test_without_a_limit_there_is_nothing_to_watch(pids: CgroupsPids) -> None:
    prepare(pids, Resources())
    assert pids.watch(WEB) is None
    assert pids.reached(WEB) == ()


def test_throttling_is_told_once(cpu: CgroupsCpu) -> None:
    prepare(cpu, Resources(cpus=0.1))
    watch = cpu.watch(WEB)
    assert watch is not None and watch.check() is None
    with task(SPIN) as process:
        attach(cpu, WEB, process.pid)
        go(process)
        assert process.wait(PATIENCE) == 0
    (descriptor,) = filter(None, [watch.fileno()])
    assert select.select([descriptor], [], [], PATIENCE)[0]
    told = watch.check()
    assert watch.check() is None
    watch.close()
    assert (told,) == cpu.reached(WEB)
    assert (told.resource, told.fatal, told.limit) == ("cpu", False, 0.1)
    assert told.usage and 0.05 < told.usage < 0.2
    assert told.message.startswith("throttled in ")


def test_without_a_quota_nothing_is_throttled(cpu: CgroupsCpu) -> None:
    prepare(cpu, Resources(cpu_shares=512))
    assert cpu.watch(WEB) is None
    assert cpu.reached(WEB) == ()


def test_who_has_not_run_into_its_limit_has_nothing_to_tell(mem: CgroupsMem, pids: CgroupsPids) -> None:
    """A file of a cgroup is readable at any time, and a watch that polls so would be asked for ever."""
    for isolator in (mem, pids):
        prepare(isolator, Resources(memory=64 * MEBIBYTE, pids=5))
        watch = isolator.watch(WEB)
        assert watch is not None
        (descriptor,) = filter(None, [watch.fileno()])
        assert select.select([descriptor], [], [descriptor], 0) == ([], [], [])
        watch.close()


def test_the_kernel_takes_the_largest_limit_and_shows_it(mem: CgroupsMem, pids: CgroupsPids) -> None:
    largest = Resources(memory=(1 << 62) - 4096, pids=MAXIMUM)
    for isolator in (mem, pids):
        isolator.check(largest)
        prepare(isolator, largest)
    assert mem.usage(WEB).memory_limit_bytes == largest.memory
    assert cgroups.read(pids.cgroup(WEB), "pids.max") == str(MAXIMUM)
    with pytest.raises(CgroupError, match="invalid argument"):
        pids.update(WEB, Resources(pids=MAXIMUM + 1))
