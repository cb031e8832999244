"""Disk limits that the filesystem keeps: project quotas of XFS and ext4, on a loop device."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from containerizer import Containerizer
from containerizer.updating import update
from isolators import catalog
from isolators.disk import limits
from isolators.disk.project_quota import NoFreeProject
from isolators.isolator import IsolatorFlags, IsolatorUnavailable
from isolators.resources import Resources
from launcher.errors import InvalidRequest
from launcher.kernel import project_quota
from launcher.stdio import Inherit
from tests.end_to_end.conftest import Cli

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox", "cgroup")

NAME = f"quota-{os.getpid()}"
MEBIBYTE = 1 << 20
TIMEOUT = 60  # seconds
MKFS = {
    "xfs": ("mkfs.xfs", "-q"),
    "ext4": ("mkfs.ext4", "-q", "-O", "quota,project", "-E", "quotatype=prjquota"),
}
RANGE = (70000, 70002)


def filesystems() -> list[Any]:
    return [pytest.param(kind, marks=pytest.mark.requires(f"{kind}_quota")) for kind in MKFS]


@dataclass(frozen=True)
class Disk:
    """A filesystem of its own, with the directories of containerizers."""

    kind: str
    mount_point: Path
    state: Path

    def containerizer(self, **flags: Any) -> Containerizer:
        given = IsolatorFlags(xfs_project_range=RANGE, state=str(self.state / "host"), **flags)
        return Containerizer(
            root=str(self.mount_point / "root"),
            state=str(self.state / "own"),
            isolation=(*catalog.DEFAULT, f"disk/{self.kind}"),
            flags=given,
        )

    def quota(self, project: int) -> project_quota.Quota:
        directory = os.open(self.mount_point, os.O_RDONLY)
        try:
            return project_quota.read(directory, project)
        finally:
            os.close(directory)

    def project_of(self, path: str) -> int:
        descriptor = os.open(self.mount_point / "root/containers" / path, os.O_RDONLY)
        try:
            return project_quota.project_of(descriptor)
        finally:
            os.close(descriptor)


@pytest.fixture(params=filesystems())
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    image, mount_point = tmp_path / "image", tmp_path / "disk"
    with open(image, "wb") as file:
        file.truncate(400 * MEBIBYTE)
    mount_point.mkdir()
    subprocess.run([*MKFS[request.param], str(image)], check=True)
    subprocess.run(["mount", "-o", "loop,prjquota", str(image), str(mount_point)], check=True)
    try:
        yield Disk(request.param, mount_point, tmp_path)
    finally:
        subprocess.run(["umount", str(mount_point)], check=True)
    assert not (tmp_path / "host").exists() or os.listdir(tmp_path / "host") == []


@pytest.fixture
def run(disk: Disk, busybox: str) -> Iterator[Callable[..., str]]:
    """Run a script in a container of an image; what it says and how it ends."""
    with disk.containerizer() as owner:

        def run(script: str, limit: str | None = "16m") -> str:
            reader, writer = os.pipe()
            null = os.open(os.devnull, os.O_RDONLY)
            with open(reader) as output:
                stdio = Inherit(null, writer, writer)
                container = owner.launch(
                    busybox, ["sh", "-c", script], name=NAME, disk=limit, stdio=stdio, pull="missing"
                )
                os.close(writer)
                os.close(null)
                said = output.read()
            termination = container.wait(TIMEOUT)
            assert termination is not None
            container.remove()
            return f"{said}{termination.exit_code}"

        yield run


def write(path: str, mebibytes: int) -> str:
    return f"dd if=/dev/zero of={path} bs=1M count={mebibytes} 2>&1 | grep -o 'quota exceeded\\|No space'"


def test_files_with_nothing_in_them_are_limited(run: Callable[..., str]) -> None:
    """Or a task would use up the inodes of the whole filesystem. XFS counts one less a little late."""
    make = "mkdir /d && cd /d && seq 1 9000 | xargs touch 2>/dev/null; ls | wc -l"
    again = "for try in $(seq 500); do touch 1 2>/dev/null && echo more && break; usleep 20000; done"
    made, more = run(f"{make}; rm 1; {again}").split("\n", 1)
    assert limits.FREE - 1000 < int(made) < limits.FREE
    assert more == "more\n0"
    assert run(make, limit=None) == "9000\n0"


def test_a_task_is_refused_what_is_beyond_its_limit(disk: Disk, run: Callable[..., str]) -> None:
    refused = {"xfs": "No space", "ext4": "quota exceeded"}[disk.kind]
    said = run(f"{write('/file', 12)}; {write('/more', 12)}; du -cm /file /more | tail -1 | cut -f1; exit 3")
    told, size, code = said.split("\n")
    assert (told, code) == (refused, "3")
    assert 14 <= int(size) <= 16
    assert run(f"{write('/file', 24)}; exit 4", None) == "4"


def test_the_limit_is_what_the_task_sees_as_the_size_of_its_disk(disk: Disk, run: Callable[..., str]) -> None:
    assert run("df -m / | tail -1 | awk '{print $2}'") == "16\n0"


def test_it_is_measured_raised_and_lowered(disk: Disk, busybox: str) -> None:
    with disk.containerizer() as owner:
        script = f"{write('/one', 12)}; mkfifo /go; read line </go; {write('/two', 12)} && exit 5; exit 6"
        container = owner.launch(busybox, ["sh", "-c", script], name=NAME, disk="16m")
        project = disk.project_of(NAME)
        assert project in range(RANGE[0], RANGE[1] + 1)
        assert disk.project_of(f"{NAME}/upper") == disk.project_of(f"{NAME}/work") == project
        assert disk.quota(project).limit == 16 * MEBIBYTE
        go = "until test -p /go; do sleep 0.01; done"
        _execute(owner, container.id, go)
        usage = container.usage()
        assert usage.disk_bytes is not None
        assert 12 * MEBIBYTE <= usage.disk_bytes < 13 * MEBIBYTE
        assert usage.disk_limit_bytes == 16 * MEBIBYTE
        update(owner, container.id, Resources(disk=40 * MEBIBYTE))
        _execute(owner, container.id, "dd if=/dev/zero of=/three bs=1M count=12 2>/dev/null")
        update(owner, container.id, Resources(disk=26 * MEBIBYTE))
        _execute(owner, container.id, "echo >/go")
        termination = container.wait(TIMEOUT)
        assert termination is not None
        assert termination.exit_code == 5
        assert disk.quota(project).limit is None
        assert disk.quota(project).used > 12 * MEBIBYTE


def _execute(owner: Containerizer, container_id: Any, script: str) -> None:
    from containerizer.nested import ExecRequest

    stdio = Inherit.without_input()
    try:
        command = owner.execute(container_id, ExecRequest(command=("sh", "-c", script)), stdio)
        command.start()
    finally:
        os.close(stdio.stdin)
    termination = command.wait(TIMEOUT)
    assert termination is not None
    assert termination.exit_code == 0


def test_a_project_is_given_out_again_when_its_files_are_gone(disk: Disk, busybox: str) -> None:
    with disk.containerizer() as owner:
        kept = [owner.launch(busybox, ["true"], name=f"{NAME}-{n}", disk="16m", keep=True) for n in range(3)]
        for container in kept:
            container.wait(TIMEOUT)
        projects = [disk.project_of(f"{NAME}-{n}") for n in range(3)]
        assert projects == [70000, 70001, 70002]
        with pytest.raises(NoFreeProject, match="all projects from 70000 to 70002 have files"):
            owner.launch(busybox, ["true"], name=NAME, disk="16m")
        kept[1].remove()
        owner.launch(busybox, ["true"], name=NAME, disk="16m").wait(TIMEOUT)
        assert disk.project_of(NAME) == 70001


def test_what_is_nested_is_of_its_roots_project(disk: Disk, busybox: str) -> None:
    with disk.containerizer() as owner:
        root = owner.launch(busybox, ["sleep", "1000"], name=NAME, disk="16m")
        with pytest.raises(InvalidRequest, match="a nested container has no project of its own"):
            owner.launch(busybox, ["true"], name=f"{NAME}.other", disk="8m")
        nested = owner.launch(busybox, ["sh", "-c", write("/file", 24)], name=f"{NAME}.nested")
        termination = nested.wait(TIMEOUT)
        assert termination is not None
        assert termination.exit_code == 0  # it was refused
        assert disk.project_of(f"{NAME}/containers/nested/upper") == disk.project_of(NAME)
        assert (root.usage().disk_bytes or 0) > 15 * MEBIBYTE


# Exits with the errno of FS_IOC_FSSETXATTR for a file of its own, with another project.
_GIVE = """
import fcntl, struct, sys
with open(sys.argv[1], "wb") as file:
    file.write(bytes(12 << 20))
    file.flush()
    attributes = bytearray(fcntl.ioctl(file, 0x801C581F, bytes(28)))
    struct.pack_into("=I", attributes, 12, int(sys.argv[2]))
    try:
        fcntl.ioctl(file, 0x401C5820, bytes(attributes))
    except OSError as error:
        sys.exit(error.errno)
"""


@pytest.mark.parametrize(("seccomp", "told"), [("builtin", errno.EPERM), ("unconfined", 0)])
def test_nobody_hands_files_to_the_project_of_another(
    disk: Disk, busybox: str, seccomp: str, told: int
) -> None:
    """But who asks for no filter of system calls: the kernel lets the owner of a file do that."""
    with disk.containerizer() as owner:
        victim = owner.launch(busybox, ["sleep", "1000"], name=f"{NAME}-victim", disk="16m")
        project = disk.project_of(f"{NAME}-victim")
        file = disk.mount_point / "root/containers" / NAME / "file"
        command = ["/usr/bin/python3", "-c", _GIVE, str(file), str(project)]
        other = owner.launch("host", command, name=NAME, keep=True, seccomp=seccomp)
        termination = other.wait(TIMEOUT)
        assert termination is not None
        assert termination.exit_code == told
        assert (disk.quota(project).used > 12 * MEBIBYTE) == (told == 0)
        victim.destroy()


def test_one_that_is_to_be_killed_has_headroom_and_is_told_why(disk: Disk, busybox: str) -> None:
    flags = {"xfs_quota_headroom": 8 * MEBIBYTE, "container_disk_watch_interval": 0.05}
    with disk.containerizer(xfs_kill_containers=True, **flags) as owner:
        script = f"{write('/file', 24)}; sleep 1000"
        container = owner.launch(busybox, ["sh", "-c", script], name=NAME, disk="8m")
        assert disk.quota(disk.project_of(NAME)).limit == 16 * MEBIBYTE
        termination = container.wait(TIMEOUT)
        assert termination is not None
        assert termination.exit_code == 128 + signal.SIGKILL
        assert termination.limitation is not None
        assert termination.limitation.isolator == f"disk/{disk.kind}"
        assert termination.limitation.limit == 8 * MEBIBYTE
        assert 8 * MEBIBYTE < (termination.limitation.usage or 0) <= 16 * MEBIBYTE


def test_a_limit_that_is_not_enforced_is_told_only(disk: Disk, busybox: str) -> None:
    with disk.containerizer(enforce_container_disk_quota=False) as owner:
        script = "dd if=/dev/zero of=/file bs=1M count=24 2>/dev/null"
        container = owner.launch(busybox, ["sh", "-c", script], name=NAME, disk="8m")
        assert disk.quota(disk.project_of(NAME)).limit is None
        termination = container.wait(TIMEOUT)
        assert termination is not None
        assert (termination.exit_code, termination.limitation) == (0, None)
        assert [each.limit for each in container.reached] == [8 * MEBIBYTE]


def test_a_launch_that_fails_gives_its_project_back(disk: Disk, busybox: str) -> None:
    from launcher.errors import CommandNotFound

    with disk.containerizer() as owner:
        for _ in range(4):
            with pytest.raises(CommandNotFound):
                owner.launch(busybox, ["/absent"], name=NAME, disk="16m")
        assert [disk.quota(project).limit for project in range(RANGE[0], RANGE[1] + 1)] == [None] * 3


@pytest.mark.parametrize("disk", filesystems()[-1:], indirect=True)  # what commands do is the same on all
def test_who_has_not_launched_it_updates_it_and_takes_it_back(disk: Disk, busybox: str) -> None:
    """All that is known is on the disk. By default the projects are others than those of the tests above."""
    cli = Cli(disk.mount_point / "root", disk.state / "own")
    isolation = ",".join((*catalog.DEFAULT, f"disk/{disk.kind}"))
    options = ("-d", "--isolation", isolation, "--disk", "16m", "--name", NAME)
    started = cli("run", *options, busybox, "sleep", "1000")
    assert (started.returncode, started.stderr) == (0, "")
    project = disk.project_of(NAME)
    assert project >= 5000
    assert cli("update", "--disk", "32m", NAME).returncode == 0
    assert disk.quota(project).limit == 32 * MEBIBYTE
    (told,) = json.loads(cli("stats", "--no-stream", "--json", "--interval", "0.05", NAME).stdout)
    assert told["disk_limit_bytes"] == 32 * MEBIBYTE
    assert cli("stop", NAME).returncode == 0
    cli.wait_for_reapers()
    assert disk.quota(project).limit is None
    assert cli("rm", NAME).returncode == 0
    assert disk.quota(project).inodes == 0


@pytest.mark.requires("ext4_quota")
def test_the_other_ones_filesystem_is_refused_by_name(tmp_path: Path, busybox: str) -> None:
    from isolators.disk.xfs import DiskXfs
    from isolators.isolator import ContainerConfig
    from tests.isolators.support import WEB

    isolator = DiskXfs(IsolatorFlags(own_state=str(tmp_path), state=str(tmp_path)))
    with pytest.raises(IsolatorUnavailable, match=r"lies on \w+, not on xfs"):
        isolator.prepare(WEB, ContainerConfig(sandbox=str(tmp_path)))
    isolator.cleanup(WEB)
