"""`containerizer update` and `stats`: limits that change while a task runs, and what it consumes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from containerizer.containerizer import Containerizer
from containerizer.request import ContainerRequest
from isolators.resources import Resources
from launcher.kernel import cgroups
from launcher.kernel.cgroups import CgroupError
from launcher.stdio import Pipes
from tests.end_to_end.conftest import Cli
from tests.launcher.support import Reader

pytestmark = pytest.mark.requires("root", "cgroup1", "overlay", "registry", "busybox")

NAME = "changing"
LIMITS = ("-m", "64m", "--cpus", "0.5", "--cpu-shares", "512", "--pids-limit", "20")
MEBIBYTE = 1 << 20


@pytest.fixture
def running(cli: Cli, busybox: str) -> Iterator[None]:
    started = cli("run", "-d", "--name", NAME, *LIMITS, busybox, "sleep", "1000")
    assert started.returncode == 0, started.stderr
    yield
    cli("rm", "-f", NAME)


def limit(cli: Cli, controller: str, file: str, name: str = NAME) -> int:
    return int(cgroups.read(cli.cgroup(controller, name), file))


def in_force(cli: Cli) -> tuple[int, int, int, int]:
    """MiB, shares, microseconds in a tenth of a second, processes."""
    return (
        limit(cli, "memory", "memory.limit_in_bytes") // MEBIBYTE,
        limit(cli, "cpu", "cpu.shares"),
        limit(cli, "cpu", "cpu.cfs_quota_us"),
        limit(cli, "pids", "pids.max"),
    )


@pytest.mark.usefixtures("running")
def test_what_is_not_named_stays(cli: Cli) -> None:
    assert in_force(cli) == (64, 512, 50_000, 20)
    done = cli("update", "--cpus", "0.25", "-m", "96m", NAME)
    assert (done.stdout, done.returncode) == (f"{NAME}\n", 0), done.stderr
    assert in_force(cli) == (96, 512, 25_000, 20)
    assert cli("update", "--pids-limit", "10", "-m", "32m", NAME).returncode == 0
    assert in_force(cli) == (32, 512, 25_000, 10)


@pytest.mark.usefixtures("running")
def test_a_lower_limit_holds_at_once(cli: Cli) -> None:
    forks = "for i in 1 2 3 4 5 6 7 8; do sleep 1000 </dev/null >/dev/null 2>&1 & done; echo all"
    assert cli("exec", NAME, "sh", "-c", f"{forks}; kill $(jobs -p)").stdout == "all\n"
    assert cli("update", "--pids-limit", "4", NAME).returncode == 0
    assert "all" not in cli("exec", NAME, "sh", "-c", forks).stdout


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), ["no limit is named"]),
        (("-m", "1k"), ["too small"]),
        (("--cpus", "100000"), ["100000"]),
        (("--pids-limit", "0"), ["0 processes"]),
        (("-m", "32m", "--pids-limit", "0"), ["0 processes"]),
        (("--cpuset-cpus", "0"), ["no isolator of container changing enforces cpuset_cpus"]),
    ],
)
def test_bad_limits_change_nothing(cli: Cli, options: tuple[str, ...], words: list[str]) -> None:
    done = cli("update", *options, NAME)
    assert done.returncode == 125
    assert [word for word in words if word not in done.stderr] == []
    assert in_force(cli) == (64, 512, 50_000, 20)


@pytest.mark.usefixtures("running")
def test_two_that_change_different_limits_lose_none(cli: Cli) -> None:
    from containerizer.updating import update

    def change(**limit: Any) -> None:
        owner = Containerizer(root=str(cli.root), state=str(cli.state), isolation=())
        update(owner, owner.get(NAME).id, Resources(**limit))

    for round in range(20):
        threads = [
            threading.Thread(target=change, kwargs=limit)
            for limit in ({"cpu_shares": 600 + round}, {"cpus": 0.1 + round / 1000}, {"pids": 30 + round})
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert in_force(cli) == (64, 600 + round, int((0.1 + round / 1000) * 100_000), 30 + round)


def test_who_does_not_run_has_no_limits(cli: Cli) -> None:
    done = cli("update", "-m", "64m", "nobody")
    assert done.returncode == 125
    assert "nobody" in done.stderr


def test_a_nested_one_has_limits_of_its_own(cli: Cli, busybox: str) -> None:
    from containerizer.updating import update

    with Containerizer(root=str(cli.root), state=str(cli.state)) as owner:
        owner.launch(busybox, ["sleep", "1000"], name="outer", mem="64m")
        inner = owner.launch(busybox, ["sleep", "1000"], name="outer.inner", mem="32m", pids=9)
        update(owner, inner.id, Resources(memory=48 * MEBIBYTE))
        nested = "outer.inner"
        assert limit(cli, "memory", "memory.limit_in_bytes", nested) == 48 * MEBIBYTE
        assert limit(cli, "pids", "pids.max", nested) == 9
        assert limit(cli, "memory", "memory.limit_in_bytes", "outer") == 64 * MEBIBYTE


@pytest.mark.usefixtures("running")
def test_stats_tell_what_is_used_and_allowed(cli: Cli) -> None:
    done = cli("stats", "--no-stream", "--json", "--interval", "0.1")
    (told,) = [each for each in json.loads(done.stdout) if each["container"] == NAME]
    assert told["memory_limit_bytes"] == 64 * MEBIBYTE
    assert told["processes"] == 1
    assert 0 <= told["cpu_percent"] <= 100
    table = cli("stats", "--no-stream", "--interval", "0.1", NAME[:5]).stdout.splitlines()
    assert table[0].split()[:3] == ["CONTAINER", "CPU", "%"]
    assert table[1].split()[0] == NAME
    assert "64.0 MiB" in table[1]
    assert cli("stats", "--no-stream", "nobody").returncode == 125
    for interval in ("0", "-1", "nan", "inf"):
        assert "invalid interval" in cli("stats", "--no-stream", f"--interval={interval}").stderr


HOLDS = f"""
import ctypes, sys
held = bytearray({32 * MEBIBYTE})
assert ctypes.CDLL(None).mlockall(1) == 0  # MCL_CURRENT: where there is swap, it would go there
print("held", flush=True)
sys.stdin.readline()
"""


def test_one_that_the_kernel_refuses_leaves_all_as_they_were(cli: Cli) -> None:
    """v1 takes no limit below what cannot be reclaimed; by then the CPUs are lowered already."""
    from containerizer.updating import in_force as recorded
    from containerizer.updating import update

    limits = {"cpu_shares": 512, "cpus": 0.5, "pids": 20}
    program = [sys.executable, "-c", HOLDS]
    with Containerizer(root=str(cli.root), state=str(cli.state)) as owner:
        request = ContainerRequest.of(
            "host", program, name=NAME, mem="64m", capabilities_add=("IPC_LOCK",), **limits
        )
        container = owner.create(request, Pipes(stdin=True))
        container.start()
        with container.attach() as attachment:
            attachment.attach()
            Reader(attachment).until("held\n")
            lower = Resources(cpus=0.25, cpu_shares=100, memory=8 * MEBIBYTE, pids=5)
            with pytest.raises(CgroupError, match=r"memory.limit_in_bytes: device or resource busy"):
                update(owner, container.id, lower)
        assert in_force(cli) == (64, 512, 50_000, 20)
        assert recorded(owner, owner.get(NAME).record) == {**limits, "memory": 64 * MEBIBYTE}
        update(owner, container.id, Resources(pids=30))
        assert in_force(cli) == (64, 512, 50_000, 30)


def test_what_cannot_be_put_back_is_told_with_the_cause(cli: Cli) -> None:
    from containerizer.updating import update

    with Containerizer(root=str(cli.root), state=str(cli.state)) as owner:
        container = owner.launch("host", ["sleep", "1000"], name=NAME, pids=20, cpus=0.5)
        file = os.path.join(cli.cgroup("pids", NAME), "pids.max")
        subprocess.run(["mount", "--bind", "-o", "ro", file, file], check=True)
        try:
            with pytest.raises(CgroupError, match=r"pids.max: read-only file system") as caught:
                update(owner, container.id, Resources(cpus=0.25, pids=5))
        finally:
            subprocess.run(["umount", file], check=True)
        (note,) = caught.value.__notes__
        assert note.startswith("and the limits of before cannot be put back: cgroups/pids: ")
        assert limit(cli, "cpu", "cpu.cfs_quota_us") == 50_000
