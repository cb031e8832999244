"""stress-ng in containers, for ten seconds: none of them gets more than a tenth beyond its limits."""

from __future__ import annotations

import select
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from containerizer import Containerizer
from containerizer.container import Container
from isolators import catalog
from isolators.resources import Usage
from tests.support.disks import loop_device

SECONDS = 10
LOOK = 0.2  # seconds between two
TOLERANCE = 1.1
MEBIBYTE = 1 << 20

CPUS, MEMORY, THREADS, WRITTEN = 0.3, 48 * MEBIBYTE, 20, 2 * MEBIBYTE

pytestmark = pytest.mark.requires("root", "cgroup", "ext4", "stress-ng")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A disk, and where it is mounted."""
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    with loop_device(tmp_path / "image", 256 * MEBIBYTE) as device:
        subprocess.run(["mkfs.ext4", "-q", device], check=True)
        subprocess.run(["mount", device, str(mounted)], check=True)
        try:
            yield device, mounted
        finally:
            subprocess.run(["umount", str(mounted)], check=True)


def test_ten_seconds_of_stress(tmp_path: Path, disk: tuple[str, Path]) -> None:
    device, mounted = disk
    stress: Mapping[str, tuple[Sequence[str], Mapping[str, Any]]] = {
        "cpu": (["--cpu", "2"], {"cpus": CPUS}),
        "memory": (["--vm", "1", "--vm-bytes", "256m"], {"mem": MEMORY, "oom_group": False}),
        "pids": (["--fork", "8", "--fork-max", "16"], {"pids": THREADS}),
        "io": (
            ["--hdd", "1", "--hdd-bytes", "64m", "--hdd-opts", "direct,wr-seq", "--temp-path", str(mounted)],
            {"device_write_bps": {device: WRITTEN}},
        ),
    }
    paths = {"root": str(tmp_path / "root"), "state": str(tmp_path / "state")}
    with Containerizer(isolation=[*catalog.DEFAULT, "cgroups/blkio"], **paths) as owner:
        containers = {
            name: owner.launch("host", [shutil.which("stress-ng") or "", "-t", str(SECONDS), *what], **limits)
            for name, (what, limits) in stress.items()
        }
        looks = watched(containers)
        for container in containers.values():
            container.destroy()
    # How much of it they get is the host's business.
    assert 0 < per_second(looks["cpu"], cpu_seconds) <= CPUS * TOLERANCE
    assert 0 < most(looks["memory"], "memory_bytes") <= MEMORY * TOLERANCE
    assert 1 < most(looks["pids"], "threads") <= THREADS * TOLERANCE
    assert 0 < per_second(looks["io"], written) <= WRITTEN * TOLERANCE


Looks = Sequence[tuple[float, Usage]]  # when, and what was used so far


def watched(containers: Mapping[str, Container]) -> dict[str, Looks]:
    """Until the time is over; the first and the last second are the kernel's to begin and to end."""
    looks: dict[str, list[tuple[float, Usage]]] = {name: [] for name in containers}
    end = time.monotonic() + SECONDS - 1
    while time.monotonic() < end:
        select.select([], [], [], LOOK)
        for name, container in containers.items():
            looks[name].append((time.monotonic(), container.usage()))
    return {name: each[int(1 / LOOK) :] for name, each in looks.items()}


def cpu_seconds(usage: Usage) -> float:
    return (usage.cpu_user_seconds or 0.0) + (usage.cpu_system_seconds or 0.0)


def written(usage: Usage) -> float:
    return float(usage.io_written_bytes or 0)


def per_second(looks: Looks, used: Callable[[Usage], float]) -> float:
    (began, first), (ended, last) = looks[0], looks[-1]
    return (used(last) - used(first)) / (ended - began)


def most(looks: Looks, field: str) -> int:
    return max(getattr(usage, field) for _, usage in looks)
