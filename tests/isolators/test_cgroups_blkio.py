"""cgroups/blkio: how fast real processes read and write a real disk; and which disk a path is."""

from __future__ import annotations

import os
import select
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from isolators.cgroups.blkio import CgroupsBlkio
from isolators.cgroups.block_devices import disk_of
from isolators.isolator import IsolatorFlags, IsolatorUnavailable
from isolators.resources import Resources
from launcher.container_id import ContainerId
from launcher.data import replace
from launcher.errors import InvalidRequest
from launcher.kernel import cgroups
from tests.isolators.support import CONFIG, WEB, FakeCgroupfs, fill, go, task
from tests.support.disks import loop_device, numbers_of, partition, volume

FLAGS = IsolatorFlags(cgroups_root=f"containerizer-test-{os.getpid()}")
PATIENCE = 30  # seconds until a test gives up
BLOCK = 64 << 10  # bytes of an operation
COUNT = 8  # operations
LARGE = 1 << 20  # bytes: so much that the disk is what takes the time

# What takes half a second, and what takes longer than anybody waits.
SLOW = {"bps": 2 * COUNT * BLOCK, "iops": 2 * COUNT}
STANDSTILL = {"bps": 2, "iops": 2}

TRANSFER = f"""
import mmap, os, time
buffer = mmap.mmap(-1, {BLOCK})
disk = os.open(sys.argv[1], os.O_RDWR | os.O_DIRECT)
transfer = {{"read": os.preadv, "write": os.pwritev}}[sys.argv[2]]
for line in sys.stdin:
    began = time.monotonic()
    for number in range(int(line)):
        transfer(disk, [buffer], number * {BLOCK})
    print(time.monotonic() - began, flush=True)
"""


# Eight processes read for a second, all at once; tells how often each did.


@pytest.fixture
def blkio() -> Iterator[CgroupsBlkio]:
    try:
        isolator = CgroupsBlkio(FLAGS)
    except IsolatorUnavailable as error:
        pytest.skip(str(error))
    yield isolator
    isolator.cleanup(WEB)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[str]:
    with loop_device(tmp_path / "image") as device:
        yield device


def prepare(isolator: CgroupsBlkio, container_id: ContainerId, **limits: object) -> None:
    isolator.prepare(container_id, replace(CONFIG, resources=Resources(**limits)))


class Transfer:
    """A task in a container that reads or writes blocks of a disk when it is told to."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    def begin(self, count: int = COUNT) -> None:
        assert self.process.stdin
        self.process.stdin.write(b"%d\n" % count)
        self.process.stdin.flush()

    def seconds(self) -> float:
        """How long it took, once it is done."""
        assert self.process.stdout
        assert select.select([self.process.stdout], [], [], PATIENCE)[0], "it stands still"
        return float(self.process.stdout.readline())

    def stands_still(self) -> bool:
        assert self.process.stdout
        return not select.select([self.process.stdout], [], [], 0.2)[0]


@contextmanager
def transferring(
    isolator: CgroupsBlkio, container_id: ContainerId, disk: str, verb: str
) -> Iterator[Transfer]:
    with task(TRANSFER, disk, verb) as process:
        cgroups.attach(isolator.cgroup(container_id), process.pid)
        go(process)
        yield Transfer(process)
        isolator.kill(WEB, 0)  # or what stands still is never over


def nested(isolator: CgroupsBlkio, depth: int) -> ContainerId:
    container = WEB
    for level in range(depth):
        prepare(isolator, container)
        container = ContainerId(f"level-{level}", container)
    return container


@pytest.mark.requires("root", "cgroup")
@pytest.mark.parametrize("depth", [0, 1, 3])
@pytest.mark.parametrize("verb", ["read", "write"])
@pytest.mark.parametrize("unit", ["bps", "iops"])
def test_a_rate_holds_and_moves_both_ways(
    blkio: CgroupsBlkio, disk: str, verb: str, unit: str, depth: int
) -> None:
    field = f"device_{verb}_{unit}"
    container = nested(blkio, depth)
    prepare(blkio, container, **{field: {disk: SLOW[unit]}})
    with transferring(blkio, container, disk, verb) as transfer:
        transfer.begin()
        assert transfer.seconds() >= 0.3  # of 0.5: a tenth of a second is given in advance
        blkio.update(container, Resources(**{field: {disk: STANDSTILL[unit]}}))
        transfer.begin(100)
        assert transfer.stands_still()
        blkio.update(container, Resources(**{field: {disk: 0}}))
        transfer.seconds()
    used = blkio.usage(container)
    done = (used.io_reads, used.io_read_bytes) if verb == "read" else (used.io_writes, used.io_written_bytes)
    assert done[0] and done[1] == done[0] * BLOCK
    # On v1 some kernels count only while there is a rate.
    assert COUNT < done[0] <= COUNT + 100 if blkio.hierarchy.version == 1 else done[0] == COUNT + 100
    assert used.io_disks and used.io_disks[numbers_of(disk)]
    blkio.cleanup(WEB)
    assert not os.path.exists(blkio.cgroup(WEB))


@pytest.mark.requires("root", "cgroup", "device-mapper")
def test_a_volume_is_a_disk_of_its_own(blkio: CgroupsBlkio, disk: str) -> None:
    with volume(disk) as device:
        assert disk_of(device) != disk_of(disk)
        prepare(blkio, WEB, device_read_bps={device: 2})
        with transferring(blkio, WEB, device, "read") as transfer:
            transfer.begin()
            assert transfer.stands_still()
            blkio.update(WEB, Resources())
            transfer.seconds()


@pytest.mark.requires("root", "cgroup")
def test_a_nested_one_is_held_by_its_parents_rate(blkio: CgroupsBlkio, disk: str) -> None:
    container = nested(blkio, 1)
    prepare(blkio, container, device_write_bps={disk: 1 << 30})
    blkio.update(WEB, Resources(device_write_iops={disk: 2}))
    inner = ContainerId("inner", container)
    prepare(blkio, inner)
    for each in (container, inner):
        with transferring(blkio, each, disk, "write") as transfer:
            blkio.update(WEB, Resources(device_write_iops={disk: 2}))
            blkio.update(each, Resources())
            transfer.begin(100)
            assert transfer.stands_still()


@pytest.mark.requires("root", "cgroup1")
def test_a_nested_one_that_ends_meanwhile_holds_up_no_update(
    blkio: CgroupsBlkio, disk: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(blkio, WEB, device_read_bps={disk: 1 << 22})
    monkeypatch.setattr("isolators.cgroups.blkio.nested_in", lambda cgroup: [f"{cgroup}/ct-gone"])
    blkio.update(WEB, Resources(device_read_bps={disk: 1 << 20}))


@pytest.mark.requires("root", "cgroup")
def test_who_waits_for_its_turn_can_be_killed(blkio: CgroupsBlkio, disk: str) -> None:
    prepare(blkio, WEB, device_write_bps={disk: 2})
    with transferring(blkio, WEB, disk, "write") as transfer:
        transfer.begin()
        assert transfer.stands_still()
        blkio.kill(WEB, 0)
        assert transfer.process.wait(PATIENCE) == -9


@pytest.mark.requires("root", "cgroup")
def test_a_weight_is_written_and_undone(blkio: CgroupsBlkio) -> None:
    try:
        blkio.check(Resources(blkio_weight=500))
    except InvalidRequest as error:
        pytest.skip(str(error))
    prepare(blkio, WEB, blkio_weight=500)
    files = [Path(blkio.cgroup(WEB), file) for file in ("blkio.bfq.weight", "io.bfq.weight", "io.weight")]
    there = [file for file in files if file.exists()]
    assert there and {file.read_text().split()[-1] for file in there} == {"500"}
    blkio.update(WEB, Resources(blkio_weight=0))
    assert {file.read_text().split()[-1] for file in there} == {"100"}


@pytest.mark.requires("root", "cgroup")
@pytest.mark.parametrize(
    ("resources", "message"),
    [
        (Resources(device_read_bps={"/dev/nosuchdisk": 2}), "unknown device '/dev/nosuchdisk'"),
        (Resources(device_read_bps={"sda": 2}), "the device 'sda' is not absolute"),
        (Resources(device_read_bps={"/dev/null": 2}), "/dev/null is no block device"),
        (Resources(device_read_bps={"/proc": 2}), "/proc lies on proc, which has no disk of its own"),
        (Resources(device_read_bps={"/a\0": 2}), "unknown device '/a\\x00'"),
        (Resources(device_write_bps={"/": -1}), "invalid device_write_bps -1 of /"),
        (Resources(device_write_bps={"/": 1}), "invalid device_write_bps 1 of /"),
        (Resources(device_write_iops={"/": 1 << 32}), "invalid device_write_iops 4294967296 of /"),
        (Resources(device_read_bps={"/": 1 << 63}), "invalid device_read_bps 9223372036854775808 of /"),
        (Resources(blkio_weight=9), "invalid weight 9"),
        (Resources(blkio_weight=1001), "invalid weight 1001"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_made(
    blkio: CgroupsBlkio, resources: Resources, message: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        blkio.check(resources)
    assert str(caught.value).startswith(message)
    assert not os.path.exists(blkio.cgroup(WEB))


@pytest.mark.requires("root", "cgroup")
def test_one_disk_has_one_rate(blkio: CgroupsBlkio, disk: str, tmp_path: Path) -> None:
    other = tmp_path / "link"
    other.symlink_to(disk)
    blkio.check(Resources(device_read_bps={disk: 3, str(other): 3}))
    with pytest.raises(InvalidRequest, match=r"are one disk, .* and have two device_read_bps"):
        blkio.check(Resources(device_read_bps={disk: 3, str(other): 2}))


# Which disk a path is ------------------------------------------------------------------------------


@pytest.mark.requires("root")
def test_a_partition_stands_for_its_disk(disk: str, tmp_path: Path) -> None:
    partition(disk)
    (part,) = Path("/sys/class/block", os.path.basename(disk)).glob("*/partition")
    major, minor = part.with_name("dev").read_text().strip().split(":")
    node = tmp_path / "part"
    os.mknod(node, 0o60600, os.makedev(int(major), int(minor)))
    assert disk_of(str(node)) == numbers_of(disk)


@pytest.mark.requires("ext4")
def test_a_path_stands_for_the_disk_of_its_filesystem(disk: str, tmp_path: Path) -> None:
    subprocess.run(["mkfs.ext4", "-q", disk], check=True)
    subprocess.run(["mount", disk, str(tmp_path)], check=True)
    try:
        assert disk_of(str(tmp_path / "lost+found")) == numbers_of(disk)
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


# The files of v2, in directories -------------------------------------------------------------------


def test_v2_writes_what_changes(tmp_path: Path) -> None:
    fake = FakeCgroupfs(tmp_path)
    fake.mount_v2("io")
    isolator = CgroupsBlkio(FLAGS, fake.mountinfo)
    before = "254:0 rbps=max wbps=5 riops=max wiops=max\n"
    cgroup = fill(
        Path(isolator.cgroup(WEB)), {"io.max": before, "io.stat": "254:0 rbytes=1 wbytes=2 rios=3\n7:0 \n"}
    )
    isolator.update(WEB, Resources())
    assert (cgroup / "io.max").read_text() == "254:0 wbps=max"
    used = isolator.usage(WEB)
    assert (used.io_read_bytes, used.io_written_bytes, used.io_reads, used.io_writes) == (1, 2, 3, 0)
    assert list(used.io_disks or {}) == ["254:0"]
    assert isolator.status(WEB) == {"io_cgroup": str(cgroup)}
