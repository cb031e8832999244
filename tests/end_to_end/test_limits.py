"""Limits from the command line to the kernel and back; that they hold, the tests of the isolators show."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from launcher.kernel import cgroups
from tests.end_to_end.conftest import Cli
from tests.support.disks import loop_device, numbers_of

pytestmark = pytest.mark.requires("root", "cgroup1", "overlay", "registry", "busybox")

NAME = "limited"


@pytest.fixture(autouse=True)
def removed(cli: Cli) -> Iterator[None]:
    yield
    cli("rm", "-f", NAME)


def start(cli: Cli, image: str, *limits: str) -> None:
    started = cli("run", "-d", "--name", NAME, *limits, image, "sleep", "1000")
    assert started.returncode == 0, started.stderr


def update(cli: Cli, *limits: str) -> None:
    updated = cli("update", *limits, NAME)
    assert updated.returncode == 0, updated.stderr


def stats(cli: Cli) -> dict[str, Any]:
    told = json.loads(cli("stats", "--no-stream", "--json", "--interval", "0.05", NAME).stdout)
    assert isinstance(told[0], dict)
    return told[0]


def content(cli: Cli, controller: str, file: str) -> str:
    return cgroups.read(cli.cgroup(controller, NAME), file)


def test_rates_of_disks(cli: Cli, busybox: str, tmp_path: Path) -> None:
    with loop_device(tmp_path / "one") as one, loop_device(tmp_path / "two") as two:
        rates = ("--device-write-bps", f"{one}:1m", "--device-write-bps", f"{two}:1k")
        start(cli, busybox, *rates, "--device-read-iops", f"{two}:5")
        file = "blkio.throttle.write_bps_device"
        assert content(cli, "blkio", file).splitlines() == [
            f"{numbers_of(one)} 1048576",
            f"{numbers_of(two)} 1024",
        ]
        update(cli, "--device-write-bps", f"{one}:2m")
        assert content(cli, "blkio", file).splitlines() == [
            f"{numbers_of(one)} 2097152",
            f"{numbers_of(two)} 1024",
        ]
        update(cli, "--device-write-bps", f"{one}:0")
        assert content(cli, "blkio", file) == f"{numbers_of(two)} 1024"
        assert content(cli, "blkio", "blkio.throttle.read_iops_device") == f"{numbers_of(two)} 5"
        assert stats(cli)["io_disks"][numbers_of(two)]["reads"] == 0
        cli("rm", "-f", NAME)


def test_memory_and_cpu_time(cli: Cli, busybox: str) -> None:
    memory = ("-m", "64m", "--memory-reservation", "32m", "--memory-swap", "96m", "--no-oom-group")
    start(cli, busybox, *memory, "--cpu-period", "50000", "--cpu-quota", "20000", "--cpu-burst", "10000")
    files = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.soft_limit_in_bytes")
    assert [int(content(cli, "memory", file)) >> 20 for file in files] == [64, 96, 32]
    files = ("cpu.cfs_period_us", "cpu.cfs_quota_us", "cpu.cfs_burst_us")
    assert [int(content(cli, "cpu", file)) for file in files] == [50_000, 20_000, 10_000]
    for options, message in (
        (("--memory-reservation", "65m"), "is more than memory"),
        (("--memory-swap", "63m"), "memory_swap of"),
        (("--cpus", "0.5"), "one limit in two words"),
        (("--cpu-burst", "20001"), "invalid CPU burst"),
    ):
        done = cli("update", *options, NAME)
        assert (done.returncode, message in done.stderr) == (125, True), done.stderr
    update(cli, "--cpu-quota", "-1", "--cpu-burst", "0", "--memory-swap", "-1", "--memory-reservation", "-1")
    assert content(cli, "cpu", "cpu.cfs_quota_us") == "-1"
    assert stats(cli)["memory_soft_limit_bytes"] is None
    update(cli, "-m", "-1", "--pids-limit", "-1", "--cpus", "0.5")
    told = stats(cli)
    assert told["memory_limit_bytes"] is None
    assert told["memory_anon_bytes"] > 0
    assert content(cli, "cpu", "cpu.cfs_quota_us") == "25000"


def test_a_victim_of_the_kernel_may_be_all_that_ends(cli: Cli, busybox: str) -> None:
    hog = "head -c 200000000 /dev/zero | tail >/dev/null; echo went on"
    limits = ("-m", "32m", "--memory-swap", "32m")
    spared = cli("run", "--rm", *limits, "--no-oom-group", busybox, "sh", "-c", hog)
    assert (spared.returncode, spared.stdout) == (0, "went on\n"), spared.stderr
    ended = cli("run", "--rm", *limits, busybox, "sh", "-c", hog)
    assert ended.returncode == 137
    assert "the kernel killed for want of memory: limit 32.0 MiB" in ended.stderr


def test_so_many_cpus_for_it_alone(cli: Cli, busybox: str) -> None:
    cpus = sorted(os.sched_getaffinity(0))
    start(cli, busybox, "--cpuset-count", str(len(cpus)), "--cpuset-exclusive")
    refused = cli("run", "--rm", "--cpuset-cpus", str(cpus[0]), busybox, "true")
    assert refused.returncode == 125
    assert f"CPU {cpus[0]} is for container {NAME} alone" in refused.stderr
    update(cli, "--no-cpuset-exclusive")
    allowed = ("grep", "Cpus_allowed_list", "/proc/self/status")
    seen = cli("run", "--rm", "--cpuset-count", "1", busybox, *allowed)
    assert seen.stdout.split()[1] in map(str, cpus), seen.stderr
