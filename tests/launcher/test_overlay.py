"""An overlay by either interface of the kernel, of directories with difficult names."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from launcher.kernel import mounts
from launcher.launch_info import Mount

pytestmark = pytest.mark.requires("root", "overlay")

Mounter = Callable[[Mount], None]


def by_descriptor(mount: Mount) -> None:
    tree = mounts.new_filesystem(mount.fstype, mount.source, mount.flags, mount.options)
    target = os.open(mount.target, os.O_PATH)
    try:
        mounts.attach(tree, target, mount.target)
    finally:
        os.close(tree)
        os.close(target)


def by_string(mount: Mount) -> None:
    mounts.mount_overlay_by_string(mount.target, mount.flags, mount.options)


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """What is mounted below it is unmounted after the test."""
    yield tmp_path
    for line in reversed(Path("/proc/self/mountinfo").read_text().splitlines()):
        point = line.split()[4].encode().decode("unicode_escape")
        if point.startswith(f"{tmp_path}/"):
            mounts._umount2(point, os.fsencode(point), 0)


@pytest.mark.parametrize("mounter", [by_descriptor, by_string])
@pytest.mark.parametrize(
    "name",
    ["plain", "co:lon", "com,ma", "back\\slash", "all:,\\of: them", "\\,", "/".join(["deeply-nested"] * 100)],
)
def test_names_that_mean_something_to_the_kernel(directory: Path, name: str, mounter: Mounter) -> None:
    top = directory / name
    for part in ("low:er,1", "lower2", "upper", "work", "merged"):
        (top / part).mkdir(parents=True)
    (top / "low:er,1" / "both").write_text("first")
    (top / "lower2" / "both").write_text("second")
    (top / "lower2" / "only").write_text("second")
    lower = [("lowerdir+", str(top / part)) for part in ("low:er,1", "lower2")]
    options = (*lower, ("upperdir", str(top / "upper")), ("workdir", str(top / "work")))
    merged = top / "merged"
    mounter(Mount(target=str(merged), fstype="overlay", source="overlay", options=options))
    assert ((merged / "both").read_text(), (merged / "only").read_text()) == ("first", "second")
    (merged / "new").write_text("upper")
    assert (top / "upper" / "new").read_text() == "upper"


@pytest.mark.parametrize("mounter", [by_descriptor, by_string])
def test_every_flag_is_set(directory: Path, mounter: Mounter) -> None:
    for part in ("lower", "lower2", "merged"):
        (directory / part).mkdir()
    flags = ("ro", "nosuid", "nodev", "noexec", "noatime", "nosymfollow")
    options = tuple(("lowerdir+", str(directory / part)) for part in ("lower", "lower2"))
    target = str(directory / "merged")
    mounter(Mount(target=target, fstype="overlay", source="overlay", flags=flags, options=options))
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    (shown,) = (line.split()[5] for line in lines if line.split()[4] == target)
    assert set(shown.split(",")) >= set(flags)
