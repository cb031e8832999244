"""Pulls onto a disk: a new ext4 on a loop device for each, so that nobody inherits another's fragments.

Two times count: until the command ends, and until everything that it wrote is on the disk. Ours ends when
its layers are; podman and tar leave that to the kernel, which a power cut may overtake.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.pullers import OURS, Containerd, Image, Puller

_SIZE = "6G"
_INSIDE = "BENCHMARK_MOUNTS_ARE_ITS_OWN"


@dataclass
class OnDisk:
    """Seconds, a round each."""

    ended: list[float] = field(default_factory=list)
    synced: list[float] = field(default_factory=list)


def in_own_mounts() -> None:
    """Start this program again in a mount namespace of its own: no mount outlives it."""
    if _INSIDE not in os.environ:
        os.environ[_INSIDE] = "1"
        os.execvp("unshare", ["unshare", "--mount", sys.executable, *sys.argv])


def measure(pullers: Sequence[Puller], image: Image, rounds: int, directory: Path) -> dict[str, OnDisk]:
    """`directory` is on the disk. Containerd is left out: its daemon would hold a store on the old disk."""
    chosen = [puller for puller in pullers if not isinstance(puller, Containerd) and puller.name != "floor"]
    measured = {puller.name: OnDisk() for puller in chosen}
    for _ in range(rounds):
        for puller in chosen:
            with _new_disk(directory / "disk.ext4", puller.root):
                start = time.perf_counter()
                puller.pull(image)
                measured[puller.name].ended.append(time.perf_counter() - start)
                subprocess.run(["sync", "--file-system", puller.root], check=True)
                measured[puller.name].synced.append(time.perf_counter() - start)
                puller.forget(image)
    return measured


@contextmanager
def _new_disk(image: Path, at: Path) -> Iterator[None]:
    subprocess.run(["truncate", "--size", _SIZE, image], check=True)
    try:
        # Inode tables now, not by the kernel in the background while somebody is timed.
        options = ["-q", "-E", "lazy_itable_init=0,lazy_journal_init=0"]
        subprocess.run(["mkfs.ext4", *options, image], check=True)
        subprocess.run(["sync"], check=True)
        subprocess.run(["mount", "-o", "loop", image, at], check=True)
        try:
            yield
        finally:
            subprocess.run(["umount", at], check=True)
    finally:
        image.unlink()


def table(measured: Mapping[str, OnDisk]) -> str:
    ours = measured[OURS]
    lines = ["| what | ended | ours / it | on disk | ours / it |", "| --- | ---: | ---: | ---: | ---: |"]
    for name, one in measured.items():
        ended, synced = statistics.median(one.ended), statistics.median(one.synced)
        ratios = statistics.median(ours.ended) / ended, statistics.median(ours.synced) / synced
        lines.append(f"| {name} | {ended:.2f} s | {ratios[0]:.2f} | {synced:.2f} s | {ratios[1]:.2f} |")
    return "\n".join(lines)
