"""`make bench-pull`: pulling and unpacking, ours and whoever else is installed here, in turns.

A real registry on loopback, all stores on tmpfs (or in --store) and empty at the start of each pull.
Every layer is compressed with gzip. Wall time is what people wait; processor time, of all processes
but the registry, is what others on the machine miss.

    python benchmarks/pull.py [--rounds N] [--store DIR | --disk DIR] [IMAGE ...]

`--disk`: each pull onto a new ext4, whose image is a file in that directory (benchmarks/disk.py).
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import disk, memory, pull_images
from benchmarks.interleave import machine
from benchmarks.pullers import OURS, Image, Puller, everyone
from provisioner.provisioner import Provisioner
from tests.support import images
from tests.support.registry import Registry

ROUNDS = 5
_TMPFS = "/dev/shm"
IMAGES: Mapping[str, Callable[[Path], list[Path]]] = {
    "many-files": pull_images.many_files,
    "few-big-files": pull_images.few_big_files,
    "small-layers": pull_images.small_layers,
}
# Only when they are named: they show what memory large images take.
EXTREMES: Mapping[str, Callable[[Path], list[Path]]] = {
    "one-large-file": pull_images.one_large_file,
    "million-files": pull_images.million_files,
}


@dataclass
class Measured:
    """What one puller took for one image."""

    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    disk: int = 0  # bytes
    peak: int = 0  # bytes of memory, of all its processes

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare pulls.")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--store", default=_TMPFS, help="a directory for the stores (tmpfs)")
    parser.add_argument("--disk", type=Path, help="a directory on a disk: pulls go onto a new ext4 in it")
    parser.add_argument("images", nargs="*", metavar="IMAGE", help=", ".join([*IMAGES, *EXTREMES]))
    arguments = parser.parse_args()
    if arguments.disk:
        disk.in_own_mounts()
    with (
        tempfile.TemporaryDirectory(dir=_TMPFS, prefix="bench-pull-") as blobs,
        tempfile.TemporaryDirectory(dir=arguments.store, prefix="bench-pull-") as stores,
        Registry.start(Path(blobs) / "registry") as registry,
        everyone(Path(stores)) as pullers,
    ):
        where = f"on new disks in {arguments.disk}" if arguments.disk else f"in {arguments.store}"
        print(f"{machine()}; stores {where}; medians of {arguments.rounds} rounds in turns")
        for name in arguments.images or IMAGES:
            image = publish(name, Path(blobs), registry)
            print(f"\n## {name}: {described(image)}\n")
            if arguments.disk:
                print(disk.table(disk.measure(pullers, image, arguments.rounds, arguments.disk)))
                continue
            print(table(measure(pullers, image, arguments.rounds)))
            print(f"\nAgain, in a running process: {again(Path(stores), image) * 1e3:.0f} ms")


def publish(name: str, root: Path, registry: Registry) -> Image:
    layers = {**IMAGES, **EXTREMES}[name](root)
    parts = [images.Layer(blob=path.read_bytes(), archive=b"") for path in layers]
    diff_ids = [f"sha256:{_uncompressed(one.blob)}" for one in parts]
    images.push(images.image(*parts, diff_ids=diff_ids), registry.host, f"bench/{name}", "latest")
    return Image(f"{registry.host}/bench/{name}:latest", layers)


def _uncompressed(blob: bytes) -> str:
    decoder, digest = zlib.decompressobj(wbits=31), hashlib.sha256()
    while blob:
        digest.update(decoder.decompress(blob, 1 << 20))
        blob = decoder.unconsumed_tail
    return digest.hexdigest()


def described(image: Image) -> str:
    size = sum(layer.stat().st_size for layer in image.layers)
    return f"{len(image.layers)} layers, {size / 1e6:.0f} MB compressed"


def measure(pullers: list[Puller], image: Image, rounds: int) -> dict[str, Measured]:
    measured = {puller.name: Measured() for puller in pullers}
    for number in range(rounds + 1):
        for puller in pullers:
            one = measured[puller.name]
            if number == 0:  # a warm-up, in which looking at its memory disturbs nobody
                one.peak = memory.peak(lambda: puller.pull(image), puller.daemon)  # noqa: B023 - called at once
                one.disk = disk_use(puller.store)
            else:
                cpu, start = puller.cpu(), time.perf_counter()
                puller.pull(image)
                one.seconds.append(time.perf_counter() - start)
                one.cpu.append(puller.cpu() - cpu)
            puller.forget(image)
    return measured


def disk_use(path: Path) -> int:
    done = subprocess.run(["du", "-sx", "-B1", path], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[0])


def table(measured: Mapping[str, Measured]) -> str:
    ours = measured[OURS]
    lines = [
        "| what | wall | ours / it | processor | memory | disk |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, one in measured.items():
        ratio, cpu = ours.median / one.median, statistics.median(one.cpu)
        lines.append(
            f"| {name} | {one.median:.2f} s | {ratio:.2f} | {cpu:.2f} s"
            f" | {one.peak >> 20} MiB | {one.disk >> 20} MiB |"
        )
    return "\n".join(lines)


def again(root: Path, image: Image) -> float:
    """Seconds of a second pull."""
    provisioner = Provisioner(str(root / "again"))
    provisioner.pull(image.reference)
    start = time.perf_counter()
    provisioner.pull(image.reference)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
