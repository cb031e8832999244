"""cgroups/hugetlb: huge pages that real processes map; they are made for the test, and given back."""

from __future__ import annotations

import os
import select
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from isolators.cgroups.hugetlb import CgroupsHugetlb, page_sizes
from isolators.isolator import IsolatorFlags, IsolatorUnavailable
from isolators.resources import Resources
from launcher.container_id import ContainerId
from launcher.data import replace
from launcher.errors import InvalidRequest
from launcher.kernel import cgroups
from launcher.kernel.cgroups import CgroupError
from tests.isolators.support import CONFIG, WEB, go, task

FLAGS = IsolatorFlags(cgroups_root=f"containerizer-test-{os.getpid()}")
PAGE = 2 << 20
PAGES = 8
PATIENCE = 30  # seconds until a test gives up
POOL = Path("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages")

# Maps so many pages with these flags, each time that it is told to, and says what came of it.
MAP = f"""
import mmap
private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40000  # MAP_HUGETLB
held = []
for line in sys.stdin:
    count, flags = map(int, line.split())
    try:
        held.append(mmap.mmap(-1, count * {PAGE}, flags=private | flags))
    except OSError as error:
        print(error.errno, flush=True)
        continue
    for page in range(count):
        held[-1][page * {PAGE}] = 1
    print(0, flush=True)
"""
MAP_NORESERVE = 0x4000


@pytest.fixture
def hugetlb() -> Iterator[CgroupsHugetlb]:
    try:
        isolator = CgroupsHugetlb(FLAGS)
    except IsolatorUnavailable as error:
        pytest.skip(str(error))
    yield isolator
    isolator.cleanup(WEB)


@pytest.fixture
def pool() -> Iterator[None]:
    """Pages to map. Another session may have some, too."""
    if not POOL.exists():
        pytest.skip("this processor has no huge pages of 2 MiB")
    before = int(POOL.read_text())
    POOL.write_text(str(before + PAGES))
    if int(POOL.read_text()) < before + PAGES:
        POOL.write_text(str(before))
        pytest.skip("the memory is too scattered for huge pages")
    yield
    POOL.write_text(str(max(0, int(POOL.read_text()) - PAGES)))


def prepare(isolator: CgroupsHugetlb, container_id: ContainerId, pages: int | None) -> None:
    isolator.prepare(container_id, replace(CONFIG, resources=limited(pages)))


def limited(pages: int | None) -> Resources:
    return Resources() if pages is None else Resources(hugetlb={"2MB": pages * PAGE})


def attempt(process: subprocess.Popen[bytes], pages: int, flags: int = 0) -> bytes:
    """The errno of mmap(2), b"" where touching the pages has ended the task."""
    assert process.stdin and process.stdout
    process.stdin.write(b"%d %d\n" % (pages, flags))
    process.stdin.flush()
    return process.stdout.readline().strip()


ENOMEM = b"12"


@pytest.mark.requires("root", "cgroup")
@pytest.mark.usefixtures("pool")
@pytest.mark.parametrize("depth", [0, 1, 3])
def test_a_limit_holds_and_moves_both_ways(hugetlb: CgroupsHugetlb, depth: int) -> None:
    container = WEB
    for level in range(depth):
        prepare(hugetlb, container, None)
        container = ContainerId(f"level-{level}", container)
    prepare(hugetlb, container, 2)
    with task(MAP) as process:
        cgroups.attach(hugetlb.cgroup(container), process.pid)
        go(process)
        assert attempt(process, 3) == ENOMEM
        assert attempt(process, 2) == b"0"
        assert hugetlb.usage(container).hugetlb_bytes == {**dict.fromkeys(page_sizes(), 0), "2MB": 2 * PAGE}
        hugetlb.update(container, limited(4))
        assert attempt(process, 2) == b"0"
        with pytest.raises(CgroupError, match="device or resource busy") as caught:
            hugetlb.update(container, limited(3))
        assert f"uses {4 * PAGE} bytes" in str(caught.value.hint)
        assert attempt(process, 1) == ENOMEM
        assert hugetlb.status(container)["hugetlb_refused"]["2MB"] == 2
        hugetlb.update(container, Resources())
        assert attempt(process, 1) == b"0"
    hugetlb.cleanup(WEB)
    assert not os.path.exists(hugetlb.cgroup(WEB))


@pytest.mark.requires("root", "cgroup")
@pytest.mark.usefixtures("pool")
def test_who_reserves_nothing_gets_a_signal_at_the_first_touch(hugetlb: CgroupsHugetlb) -> None:
    prepare(hugetlb, WEB, 1)
    with task(MAP) as process:
        cgroups.attach(hugetlb.cgroup(WEB), process.pid)
        go(process)
        assert attempt(process, 2, MAP_NORESERVE) == b""
        assert process.wait(PATIENCE) == -7  # SIGBUS
    assert hugetlb.status(WEB)["hugetlb_refused"]["2MB"] == 1
    (told,) = hugetlb.reached(WEB)
    assert told.message == f"huge pages of 2MB were refused once: limit {PAGE} bytes, 0 used now"
    assert (told.resource, told.fatal) == ("hugetlb.2MB", False)


@pytest.mark.requires("root", "cgroup")
@pytest.mark.usefixtures("pool")
def test_what_is_refused_is_told_once(hugetlb: CgroupsHugetlb) -> None:
    prepare(hugetlb, WEB, 1)
    watch = hugetlb.watch(WEB)
    assert watch.check() is None
    with task(MAP) as process:
        cgroups.attach(hugetlb.cgroup(WEB), process.pid)
        go(process)
        assert attempt(process, 2) == ENOMEM
        descriptor = watch.fileno()
        assert descriptor is not None
        assert select.select([descriptor], [], [], PATIENCE)[0]
    told = watch.check()
    assert told and told.limit == PAGE
    assert watch.check() is None
    watch.close()


@pytest.mark.requires("root", "cgroup")
@pytest.mark.usefixtures("pool")
def test_a_parents_limit_holds_for_the_nested_one(hugetlb: CgroupsHugetlb) -> None:
    nested = ContainerId("nested", WEB)
    prepare(hugetlb, WEB, 1)
    prepare(hugetlb, nested, 4)
    with task(MAP) as process:
        cgroups.attach(hugetlb.cgroup(nested), process.pid)
        go(process)
        assert attempt(process, 2) == ENOMEM
        assert attempt(process, 1) == b"0"


@pytest.mark.requires("root", "cgroup")
@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"3MB": 0}, "this host has no huge pages of 3MB; it has 2MB"),
        ({"2m": 0}, "this host has no huge pages of 2m; it has 2MB"),
        ({"2MB": PAGE + 1}, "invalid limit of 2097153 bytes in huge pages of 2MB; use a multiple"),
        ({"2MB": -2 * PAGE}, "invalid limit of -4194304 bytes"),
        ({"2MB": 1 << 63}, "invalid limit of 9223372036854775808 bytes"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_made(
    hugetlb: CgroupsHugetlb, limits: dict[str, int], message: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        hugetlb.check(Resources(hugetlb=limits))
    assert str(caught.value).startswith(message)
    assert not os.path.exists(hugetlb.cgroup(WEB))


def test_sizes_are_named_as_the_kernel_does(tmp_path: Path) -> None:
    for kibibytes in (64, 2048, 1 << 20, 16 << 20):
        (tmp_path / f"hugepages-{kibibytes}kB").mkdir()
    names = {"64KB": 64 << 10, "2MB": PAGE, "1GB": 1 << 30, "16GB": 16 << 30}
    assert page_sizes(str(tmp_path)) == names
    assert page_sizes(str(tmp_path / "none")) == {}
