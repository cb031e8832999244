"""Which files the cgroup isolators write and read, on directories that stand for cgroupfs."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from isolators.cgroups.cpu import CgroupsCpu, weight
from isolators.cgroups.mem import MINIMUM, CgroupsMem
from isolators.cgroups.pids import MAXIMUM, CgroupsPids
from isolators.cgroups.subsystem import CgroupIsolator
from isolators.isolator import IsolatorFlags, IsolatorUnavailable
from isolators.resources import Resources, Usage
from launcher.data import replace
from launcher.errors import InvalidRequest
from launcher.kernel.cgroups import CgroupError
from tests.isolators.support import CONFIG, V1_FILES, V2_FILES, WEB, FakeCgroupfs, fill

FLAGS = IsolatorFlags(cgroups_root="agent")
MEBIBYTE = 1 << 20
THROTTLED = Usage(cpu_throttled_seconds=1.5, cpu_periods=4, cpu_throttled_periods=2)


@pytest.fixture
def fake(tmp_path: Path) -> FakeCgroupfs:
    return FakeCgroupfs(tmp_path)


def on_v1(
    fake: FakeCgroupfs, isolator_class: type[CgroupIsolator], *controllers: str
) -> tuple[CgroupIsolator, dict[str, Path]]:
    """An isolator on a host with v1, and the container's cgroup in each hierarchy."""
    cgroups = {name: fill(fake.mount_v1(name) / "agent" / "ct-web", V1_FILES[name]) for name in controllers}
    return isolator_class(FLAGS, fake.mountinfo), cgroups


def on_v2(fake: FakeCgroupfs, isolator_class: type[CgroupIsolator]) -> tuple[CgroupIsolator, Path]:
    mount_point = fake.mount_v2("cpu", "memory", "pids")
    files = {**V2_FILES["cpu"], **V2_FILES["memory"], **V2_FILES["pids"]}
    return isolator_class(FLAGS, fake.mountinfo), fill(mount_point / "agent" / "ct-web", files)


def contents(cgroup: Path, *names: str) -> list[str]:
    return [(cgroup / name).read_text().strip() for name in names]


def test_missing_controller_is_named(fake: FakeCgroupfs) -> None:
    with pytest.raises(IsolatorUnavailable, match="cgroups/mem lacks cgroup controller memory"):
        CgroupsMem(FLAGS, fake.mountinfo)


@pytest.mark.parametrize("root", ["", "/", "..", "a/../b", "a//b", "./a"])
def test_cgroups_root_stays_below_the_mount_point(fake: FakeCgroupfs, root: str) -> None:
    fake.mount_v1("pids")
    with pytest.raises(InvalidRequest, match="invalid cgroups root"):
        CgroupsPids(IsolatorFlags(cgroups_root=root), fake.mountinfo)


# cpu


def test_cpu_v1(fake: FakeCgroupfs) -> None:
    isolator, cgroups = on_v1(fake, CgroupsCpu, "cpu", "cpuacct")
    files = ("cpu.cfs_period_us", "cpu.cfs_quota_us", "cpu.shares")
    isolator.update(WEB, Resources(cpus=0.5, cpu_shares=512))
    assert contents(cgroups["cpu"], *files) == ["100000", "50000", "512"]
    isolator.update(WEB, Resources(cpus=0.001))
    assert contents(cgroups["cpu"], *files) == ["100000", "1000", "1024"]
    isolator.update(WEB, Resources())
    assert contents(cgroups["cpu"], *files) == ["100000", "-1", "1024"]


def test_cpu_v2(fake: FakeCgroupfs) -> None:
    isolator, cgroup = on_v2(fake, CgroupsCpu)
    isolator.update(WEB, Resources(cpus=0.5, cpu_shares=262144))
    assert contents(cgroup, "cpu.max", "cpu.weight") == ["50000 100000", "10000"]
    isolator.update(WEB, Resources())
    assert contents(cgroup, "cpu.max", "cpu.weight") == ["max 100000", "100"]


def test_cpu_bandwidth_in_the_kernels_words(fake: FakeCgroupfs) -> None:
    isolator, cgroup = on_v2(fake, CgroupsCpu)
    (cgroup / "cpu.max.burst").write_text("0")
    isolator.update(WEB, Resources(cpu_quota=30_000, cpu_period=50_000, cpu_burst=10_000))
    assert contents(cgroup, "cpu.max", "cpu.max.burst") == ["30000 50000", "10000"]
    isolator.update(WEB, Resources(cpus=0.5, cpu_period=20_000))
    assert contents(cgroup, "cpu.max", "cpu.max.burst") == ["10000 20000", "0"]
    isolator.update(WEB, Resources(cpus=-1, cpu_quota=-1))
    assert contents(cgroup, "cpu.max", "cpu.max.burst") == ["max 100000", "0"]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"cpu_period": 999}, "invalid CPU period of 999 µs"),
        ({"cpu_period": 1_000_001}, "invalid CPU period of 1000001 µs"),
        ({"cpu_quota": 999}, "invalid CPU quota of 999 µs in 100000 µs"),
        ({"cpu_quota": 0}, "invalid CPU quota of 0 µs"),
        ({"cpu_quota": 1 << 40}, "invalid CPU quota of 1099511627776 µs"),
        ({"cpu_quota": 5000, "cpus": 0.5}, "cpus and cpu_quota are one limit in two words"),
        ({"cpu_burst": 5000}, "invalid CPU burst of 5000 µs, with a quota of None µs"),
        ({"cpu_burst": -1, "cpus": 0.5}, "invalid CPU burst of -1 µs"),
        ({"cpu_burst": 50_001, "cpus": 0.5}, "invalid CPU burst of 50001 µs, with a quota of 50000 µs"),
    ],
)
def test_cpu_bandwidth_that_makes_no_sense(fake: FakeCgroupfs, asked: dict[str, float], message: str) -> None:
    isolator, _ = on_v2(fake, CgroupsCpu)
    with pytest.raises(InvalidRequest) as caught:
        isolator.check(Resources(**asked))
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("version", [1, 2])
def test_cpu_usage(fake: FakeCgroupfs, version: int) -> None:
    isolator = on_v2(fake, CgroupsCpu)[0] if version == 2 else on_v1(fake, CgroupsCpu, "cpu", "cpuacct")[0]
    expected = replace(THROTTLED, cpu_user_seconds=2.5, cpu_system_seconds=0.5)
    assert isolator.usage(WEB) == expected  # 100 clock ticks a second on every Linux


def test_cpu_v1_without_cpuacct_measures_only_throttling(fake: FakeCgroupfs) -> None:
    isolator, _ = on_v1(fake, CgroupsCpu, "cpu")
    assert isolator.usage(WEB) == THROTTLED


def test_cpu_joins_a_co_mounted_hierarchy(fake: FakeCgroupfs) -> None:
    cgroup = fill(fake.mount_v1("cpu", "cpuacct") / "agent" / "ct-web", {**V1_FILES["cpu"]})
    isolator = CgroupsCpu(FLAGS, fake.mountinfo)
    assert isolator.prepare(WEB, CONFIG).cgroups_v1 == (str(cgroup),)


def test_weight_is_exact_at_the_ends_and_the_default_and_grows() -> None:
    assert [weight(2), weight(1024), weight(262144)] == [1, 100, 10000]
    weights = [weight(shares) for shares in range(2, 262145, 97)]
    assert weights == sorted(weights)


@pytest.mark.parametrize("cpus", [0, -2, math.nan, math.inf, 1e9])
def test_invalid_cpus(fake: FakeCgroupfs, cpus: float) -> None:
    isolator, cgroup = on_v2(fake, CgroupsCpu)
    with pytest.raises(InvalidRequest, match="invalid number of CPUs"):
        isolator.check(Resources(cpus=cpus))
    assert contents(cgroup, "cpu.max") == ["max 100000"]


@pytest.mark.parametrize("shares", [0, 1, 262145])
def test_invalid_shares(fake: FakeCgroupfs, shares: int) -> None:
    isolator, _ = on_v2(fake, CgroupsCpu)
    with pytest.raises(InvalidRequest, match=f"invalid CPU shares {shares}"):
        isolator.check(Resources(cpu_shares=shares))


# mem


def test_mem_v1(fake: FakeCgroupfs) -> None:
    isolator, cgroups = on_v1(fake, CgroupsMem, "memory")
    files = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
    for size in (64 * MEBIBYTE, 8 * MEBIBYTE, 128 * MEBIBYTE):
        isolator.update(WEB, Resources(memory=size))
        assert contents(cgroups["memory"], *files) == [str(size)] * 2
    isolator.update(WEB, Resources())
    assert contents(cgroups["memory"], *files) == ["-1", "-1"]


def test_mem_v1_without_swap_accounting(fake: FakeCgroupfs) -> None:
    isolator, cgroups = on_v1(fake, CgroupsMem, "memory")
    (cgroups["memory"] / "memory.memsw.limit_in_bytes").unlink()
    isolator.update(WEB, Resources(memory=MINIMUM))
    assert contents(cgroups["memory"], "memory.limit_in_bytes") == [str(MINIMUM)]


def test_mem_v2(fake: FakeCgroupfs) -> None:
    isolator, cgroup = on_v2(fake, CgroupsMem)
    files = ("memory.max", "memory.swap.max", "memory.oom.group")
    isolator.update(WEB, Resources(memory=64 * MEBIBYTE))
    assert contents(cgroup, *files) == [str(64 * MEBIBYTE), "0", "1"]
    isolator.update(WEB, Resources())
    assert contents(cgroup, *files) == ["max", "max", "1"]


def test_mem_v2_all_limits(fake: FakeCgroupfs) -> None:
    isolator, cgroup = on_v2(fake, CgroupsMem)
    files = ("memory.max", "memory.swap.max", "memory.high", "memory.low", "memory.oom.group")
    asked = {"memory_high": 48 * MEBIBYTE, "memory_reservation": 32 * MEBIBYTE, "oom_group": False}
    isolator.update(WEB, Resources(memory=64 * MEBIBYTE, memory_swap=80 * MEBIBYTE, **asked))
    sizes = [str(size * MEBIBYTE) for size in (64, 16, 48, 32)]
    assert contents(cgroup, *files) == [*sizes, "0"]
    isolator.update(WEB, Resources(memory=64 * MEBIBYTE, memory_swap=-1))
    assert contents(cgroup, *files) == [sizes[0], "max", "max", "0", "1"]
    isolator.update(WEB, Resources(memory=-1, memory_high=-1, memory_reservation=-1))
    assert contents(cgroup, *files) == ["max", "max", "max", "0", "1"]


def test_mem_v1_all_limits(fake: FakeCgroupfs) -> None:
    isolator, cgroups = on_v1(fake, CgroupsMem, "memory")
    files = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.soft_limit_in_bytes")
    isolator.update(
        WEB, Resources(memory=64 * MEBIBYTE, memory_swap=80 * MEBIBYTE, memory_reservation=MEBIBYTE)
    )
    assert contents(cgroups["memory"], *files) == [str(size * MEBIBYTE) for size in (64, 80, 1)]
    isolator.update(WEB, Resources(memory=64 * MEBIBYTE, memory_swap=-1))
    assert contents(cgroups["memory"], *files) == [str(64 * MEBIBYTE), "-1", "-1"]


@pytest.mark.parametrize("isolator_class", [CgroupsCpu, CgroupsMem])
def test_a_new_cgroup_is_as_nobody_asks(fake: FakeCgroupfs, isolator_class: type[CgroupIsolator]) -> None:
    """So a launch has nothing to write; these directories even lack the files."""
    fake.mount_v1("cpu", "memory")
    isolator = isolator_class(FLAGS, fake.mountinfo)
    isolator.prepare(WEB, CONFIG)
    assert os.listdir(isolator.cgroup(WEB)) == []


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"memory": 1 << 62}, "memory of 4611686018427387904 bytes is too large"),
        ({"memory_high": 5}, "memory_high of 5 bytes is too small"),
        ({"memory_reservation": -2}, "memory_reservation of -2 bytes is too small"),
        (
            {"memory": 8 << 20, "memory_reservation": 9 << 20},
            "memory_reservation of 9437184 bytes is more than",
        ),
        ({"memory": 8 << 20, "memory_high": 9 << 20}, "memory_high of 9437184 bytes is more than"),
        ({"memory_swap": 1 << 30}, "a limit of swap without one of memory"),
        ({"memory": 8 << 20, "memory_swap": 7 << 20}, "memory_swap of 7340032 bytes, with memory of 8388608"),
        ({"memory": 8 << 20, "memory_swap": -2}, "memory_swap of -2 bytes"),
    ],
)
def test_memory_that_makes_no_sense(fake: FakeCgroupfs, asked: dict[str, int], message: str) -> None:
    isolator, _ = on_v2(fake, CgroupsMem)
    with pytest.raises(InvalidRequest) as caught:
        isolator.check(Resources(**asked))
    assert str(caught.value).startswith(message)


def test_what_v1_cannot_is_refused_by_name(fake: FakeCgroupfs) -> None:
    isolator, _ = on_v1(fake, CgroupsMem, "memory")
    with pytest.raises(InvalidRequest, match="cgroup v1 has no memory_high"):
        isolator.check(Resources(memory_high=64 * MEBIBYTE))
    with pytest.raises(InvalidRequest, match="this kernel counts no swap"):  # nor has the root such a file
        isolator.check(Resources(memory=64 * MEBIBYTE, memory_swap=-1))
    cpu, _ = on_v1(fake, CgroupsCpu, "cpu", "cpuacct")
    with pytest.raises(InvalidRequest, match="this kernel saves no CPU time up"):
        cpu.check(Resources(cpus=1, cpu_burst=1000))


@pytest.mark.parametrize("version", [1, 2])
def test_mem_usage(fake: FakeCgroupfs, version: int) -> None:
    isolator = on_v2(fake, CgroupsMem)[0] if version == 2 else on_v1(fake, CgroupsMem, "memory")[0]
    measured = Usage(
        memory_bytes=1048576,
        memory_peak_bytes=2097152,
        memory_with_swap_bytes=1048579,
        memory_anon_bytes=6,
        memory_file_bytes=5,
        memory_mapped_bytes=4,
        memory_swap_bytes=3,
        memory_unevictable_bytes=2,
    )
    known = {"memory_oom_kills": 0}
    if version == 2:
        known |= {"memory_kernel_bytes": 8, "memory_tcp_bytes": 7, "memory_limit_hits": 0}
    assert isolator.usage(WEB) == replace(measured, **known)
    isolator.update(WEB, Resources(memory=64 * MEBIBYTE))
    assert isolator.usage(WEB).memory_limit_bytes == 64 * MEBIBYTE


def test_mem_v2_kill_at_own_limit_is_a_limitation(fake: FakeCgroupfs) -> None:
    isolator, cgroup = on_v2(fake, CgroupsMem)
    isolator.update(WEB, Resources(memory=64 * MEBIBYTE))
    assert isolator.limitation(WEB) is None
    (cgroup / "memory.events").write_text("oom 1\noom_kill 1\n")
    assert isolator.limitation(WEB) is None  # a nested container's limit: it reports it itself
    (cgroup / "memory.events.local").write_text("oom 1\noom_kill 1\n")
    limitation = isolator.limitation(WEB)
    assert limitation and limitation.resource == "memory"
    assert "limit 64.0 MiB, peak use 2.0 MiB" in limitation.message


@pytest.mark.parametrize("memory", [-2, 0, MINIMUM - 1])
def test_too_little_memory_is_refused_before_anything_is_made(fake: FakeCgroupfs, memory: int) -> None:
    mount_point = fake.mount_v1("memory")
    isolator = CgroupsMem(FLAGS, fake.mountinfo)
    with pytest.raises(InvalidRequest, match="too small"):
        isolator.check(Resources(memory=memory))
    assert list(mount_point.iterdir()) == []


def test_failure_names_file_and_value(fake: FakeCgroupfs) -> None:
    isolator, cgroups = on_v1(fake, CgroupsMem, "memory")
    (cgroups["memory"] / "memory.limit_in_bytes").unlink()
    (cgroups["memory"] / "memory.limit_in_bytes").mkdir()
    with pytest.raises(
        CgroupError, match=r"cannot write '4194304' to .*ct-web/memory.limit_in_bytes"
    ) as caught:
        isolator.update(WEB, Resources(memory=MINIMUM))
    assert "uses 1048576 bytes" in str(caught.value.hint)


# pids


@pytest.mark.parametrize("version", [1, 2])
def test_pids(fake: FakeCgroupfs, version: int) -> None:
    if version == 2:
        isolator, cgroup = on_v2(fake, CgroupsPids)
    else:
        isolator, cgroups = on_v1(fake, CgroupsPids, "pids")
        cgroup = cgroups["pids"]
    isolator.update(WEB, Resources(pids=20))
    assert contents(cgroup, "pids.max") == ["20"]
    isolator.update(WEB, Resources())
    assert contents(cgroup, "pids.max") == ["max"]
    (cgroup / "cgroup.procs").write_text("7\n8\n")
    assert isolator.usage(WEB) == Usage(processes=2, threads=3)
    assert isolator.status(WEB) == {"pids_cgroup": str(cgroup), "pids_refused_forks": 7}
    assert isolator.watch(WEB) is None


@pytest.mark.parametrize("pids", [0, -2, MAXIMUM + 1, 1 << 64])
def test_invalid_pids(fake: FakeCgroupfs, pids: int) -> None:
    isolator, _ = on_v1(fake, CgroupsPids, "pids")
    with pytest.raises(InvalidRequest, match=f"invalid limit of {pids} processes"):
        isolator.check(Resources(pids=pids))


def test_prepare_on_v2_enables_the_controller_from_the_mount_point_down(fake: FakeCgroupfs) -> None:
    isolator, cgroup = on_v2(fake, CgroupsPids)
    isolator.prepare(WEB, CONFIG)
    assert contents(cgroup.parent.parent, "cgroup.subtree_control") == ["+pids"]
    assert contents(cgroup.parent, "cgroup.subtree_control") == ["+pids"]
    assert contents(cgroup, "cgroup.subtree_control") == [""]


def test_hybrid_host_is_asked_per_controller(fake: FakeCgroupfs) -> None:
    fake.mount_v2("pids")
    fake.mount_v1("memory")
    assert CgroupsPids(FLAGS, fake.mountinfo).hierarchy.version == 2
    assert CgroupsMem(FLAGS, fake.mountinfo).hierarchy.version == 1


# What the container sees


def shown(isolator: CgroupIsolator) -> list[tuple[str, str]]:
    mounts = isolator.contribute(WEB, CONFIG).mounts
    assert all("ro" in mount.flags and mount.fstype == "bind" for mount in mounts)
    return [(mount.source, mount.target) for mount in mounts]


def test_its_own_cgroups_are_shown_where_the_host_has_the_hierarchies(fake: FakeCgroupfs) -> None:
    unified = fake.mount_v2("pids") / "agent" / "ct-web"
    assert shown(CgroupsPids(FLAGS, fake.mountinfo)) == [(str(unified), "/sys/fs/cgroup")]
    cpu = fake.mount_v1("cpu", "cpuacct") / "agent" / "ct-web"
    assert shown(CgroupsPids(FLAGS, fake.mountinfo)) == [(str(unified), "/sys/fs/cgroup/unified")]
    assert shown(CgroupsCpu(FLAGS, fake.mountinfo)) == [(str(cpu), "/sys/fs/cgroup/cpu,cpuacct")]


def test_hosts_files_are_left_alone_without_rootfs(fake: FakeCgroupfs) -> None:
    fake.mount_v2("pids")
    config = replace(CONFIG, rootfs=None)
    assert CgroupsPids(FLAGS, fake.mountinfo).contribute(WEB, config).mounts == ()
