"""Disks for tests: loop devices, partitions of them, and volumes of the device mapper. Root makes them."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def loop_device(image: Path, size: int = 64 << 20) -> Iterator[str]:
    """The path of a loop device on a sparse file, which is made."""
    image.touch()
    os.truncate(image, size)
    device = _output("losetup", "--find", "--show", "--partscan", str(image))
    try:
        yield device
    finally:
        _output("losetup", "--detach", device)


def partition(device: str) -> None:
    """Give the disk one partition, of 1 MiB; it goes with the disk. The kernel may know no tables."""
    _output("addpart", device, "1", "2048", "2048")


@contextlib.contextmanager
def volume(device: str) -> Iterator[str]:
    """The path of a volume of the device mapper on all of the disk."""
    name = f"containerizer-test-{os.getpid()}"
    sectors = _output("blockdev", "--getsz", device)
    _output("dmsetup", "create", name, "--table", f"0 {sectors} linear {device} 0")
    try:
        node = _output("dmsetup", "info", "--columns", "--noheadings", "--options", "blkdevname", name)
        yield f"/dev/{node}"
    finally:
        _output("dmsetup", "remove", name)


def numbers_of(device: str) -> str:
    """As the kernel writes them: "7:0"."""
    number = os.stat(device).st_rdev
    return f"{os.major(number)}:{os.minor(number)}"


def _output(*argv: str) -> str:
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
