"""An overlay by either interface of the kernel, of directories with difficult names."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from launcher import overlay
from launcher.kernel import mounts
from launcher.launch_info import Mount
from launcher.program import mounts as program_mounts
from launcher.program import runner
from launcher.program.assembler import Program

pytestmark = pytest.mark.requires("root", "overlay")

Mounter = Callable[[Mount], None]


def by_descriptor(mount: Mount) -> None:
    _attach(mount, overlay.new_overlay(mount, by_descriptor=True))


def by_string(mount: Mount) -> None:
    _attach(mount, overlay.new_overlay(mount, by_descriptor=False))


def by_the_child(mount: Mount, *, as_string: bool = False) -> None:
    program = Program()
    tree = overlay.write_overlay(program, mount, by_descriptor=not as_string)
    if not as_string:
        target = program.call("openat", -100, os.fsencode(mount.target), os.O_PATH)
        program_mounts.attach(program, tree, target, mount.target)
    program.call("exit_group", 0)
    runner.run(program)


def by_the_child_as_string(mount: Mount) -> None:
    by_the_child(mount, as_string=True)


MOUNTERS = [by_descriptor, by_string, by_the_child, by_the_child_as_string]


def _attach(mount: Mount, tree: int) -> None:
    target = os.open(mount.target, os.O_PATH)
    try:
        mounts.attach(tree, target, mount.target)
    finally:
        os.close(tree)
        os.close(target)


def umount(point: str) -> None:
    program = Program()
    program.call("umount2", os.fsencode(point), 0, on=point)
    program.call("exit_group", 0)
    runner.run(program)


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """What is mounted below it is unmounted after the test."""
    yield tmp_path
    for line in reversed(Path("/proc/self/mountinfo").read_text().splitlines()):
        point = line.split()[4].encode().decode("unicode_escape")
        if point.startswith(f"{tmp_path}/"):
            umount(point)


@pytest.mark.parametrize("mounter", MOUNTERS)
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


@pytest.mark.parametrize("mounter", MOUNTERS)
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
