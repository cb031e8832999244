"""What the tests of isolators share: a container, directories that stand for cgroupfs, a task."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from isolators.isolator import ContainerConfig
from launcher.container_id import ContainerId

WEB = ContainerId("web")
CONFIG = ContainerConfig(command=("true",), rootfs="/rootfs", sandbox="/sandbox", image_config={})

# What the kernel puts into a new cgroup, as far as the isolators use it.
V1_FILES = {
    "cpu": {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "-1", "cpu.shares": "1024"}
    | {"cpu.stat": "nr_periods 4\nnr_throttled 2\nthrottled_time 1500000000\n"},
    "cpuacct": {"cpuacct.stat": "user 250\nsystem 50\n"},
    "memory": {
        "memory.limit_in_bytes": "9223372036854771712",
        "memory.memsw.limit_in_bytes": "9223372036854771712",
        "memory.usage_in_bytes": "1048576",
        "memory.max_usage_in_bytes": "2097152",
        "memory.soft_limit_in_bytes": "9223372036854771712",
        "memory.memsw.usage_in_bytes": "1048579",
        "memory.stat": "cache 99\ntotal_cache 5\ntotal_rss 6\ntotal_mapped_file 4\n"
        "total_swap 3\ntotal_unevictable 2\n",
        "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n",
    },
    "pids": {"pids.max": "max", "pids.current": "3", "pids.events": "max 7\n"},
}
V2_FILES = {
    "cpu": {"cpu.max": "max 100000", "cpu.weight": "100"}
    | {
        "cpu.stat": "usage_usec 3000000\nuser_usec 2500000\nsystem_usec 500000\n"
        "nr_periods 4\nnr_throttled 2\nthrottled_usec 1500000\n"
    },
    "memory": {
        "memory.max": "max",
        "memory.swap.max": "max",
        "memory.swap.current": "3",
        "memory.high": "max",
        "memory.low": "0",
        "memory.stat": "anon 6\nfile 5\nkernel 8\nsock 7\nfile_mapped 4\nunevictable 2\n",
        "memory.oom.group": "0",
        "memory.current": "1048576",
        "memory.peak": "2097152",
        "memory.events": "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n",
        "memory.events.local": "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n",
    },
    "pids": V1_FILES["pids"],
}


class FakeCgroupfs:
    """Directories with the files that the kernel would make, and the mountinfo that tells of them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.mountinfo = str(directory / "mountinfo")
        (directory / "mountinfo").write_text("21 1 0:5 / /proc rw - proc proc rw\n")

    def mount_v1(self, *controllers: str) -> Path:
        mount_point = self.directory / ",".join(controllers)
        mount_point.mkdir()
        self._add_mount(mount_point, f"cgroup cgroup rw,{','.join(controllers)}")
        return mount_point

    def mount_v2(self, *controllers: str) -> Path:
        mount_point = self.directory / "unified"
        mount_point.mkdir()
        (mount_point / "cgroup.controllers").write_text(" ".join(controllers) + "\n")
        (mount_point / "cgroup.subtree_control").write_text("")
        self._add_mount(mount_point, "cgroup2 cgroup2 rw,nsdelegate")
        return mount_point

    def _add_mount(self, mount_point: Path, filesystem: str) -> None:
        with open(self.mountinfo, "a") as file:
            file.write(f"31 21 0:29 / {mount_point} rw,relatime shared:9 - {filesystem}\n")


def fill(cgroup: Path, files: dict[str, str]) -> Path:
    """Make a cgroup with these interface files, and the parents' that have controllers and enable them."""
    cgroup.mkdir(parents=True, exist_ok=True)
    for directory in (cgroup, cgroup.parent):
        (directory / "cgroup.subtree_control").write_text("")
        (directory / "cgroup.controllers").write_text("")
    for name, content in {"cgroup.procs": "", **files}.items():
        (cgroup / name).write_text(content)
    return cgroup


@contextmanager
def task(program: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Python process that waits for a line on stdin and then runs `program`; killed at the end."""
    command = [sys.executable, "-c", f"import sys\nsys.stdin.readline()\n{program}", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def go(process: subprocess.Popen[bytes]) -> None:
    """Let the task run on."""
    assert process.stdin
    process.stdin.write(b"\n")
    process.stdin.flush()
