"""Everyone who pulls and unpacks an image here, each into an empty store of its own."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.peers import installed, run

OURS = "containerizer pull"
_CONTAINERD = "containerd"
_READY = 20.0  # seconds

# What any way to do it has to do: inflate, hash both sides, write; no archive is read. A process a layer.
_FLOOR = """
import hashlib, sys
from isal import isal_zlib
source, target = sys.argv[1:]
packed, plain = hashlib.sha256(), hashlib.sha256()
decoder = isal_zlib.decompressobj(wbits=31)
with open(source, "rb") as blob, open(target, "wb", buffering=0) as out:
    while data := blob.read(1 << 18):
        packed.update(data)
        while data:
            chunk = decoder.decompress(data, 1 << 20)
            plain.update(chunk)
            out.write(chunk)
            data = decoder.unconsumed_tail
"""


@dataclass(frozen=True)
class Image:
    """One image, in the registry and as the files of its layers."""

    reference: str
    layers: list[Path]


@dataclass
class Puller:
    """`pull` is timed; `store` is what it leaves behind."""

    name: str
    root: Path
    daemon: int | None = field(default=None, kw_only=True)  # pid of who works beside our children

    @property
    def store(self) -> Path:
        return self.root / self.name.replace(" ", "-")

    def pull(self, image: Image) -> None:
        raise NotImplementedError

    def forget(self, image: Image) -> None:
        """Empty the store; not timed."""
        shutil.rmtree(self.store, ignore_errors=True)

    def cpu(self) -> float:
        """Seconds of processor time, user and system, that it has taken so far."""
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime + (_cpu_of(self.daemon) if self.daemon else 0)


class Ours(Puller):
    def pull(self, image: Image) -> None:
        command = str(Path(sys.executable).parent / "containerizer")
        run([command, "--root", str(self.store), "--state", f"{self.store}-state", "pull", image.reference])


class Podman(Puller):
    def pull(self, image: Image) -> None:
        run([*self._podman(), "pull", "--quiet", "--tls-verify=false", image.reference])

    def forget(self, image: Image) -> None:
        mount = self.store / "overlay"
        if mount.is_mount():
            subprocess.run(["umount", str(mount)], check=True)
        super().forget(image)

    def _podman(self) -> list[str]:
        return [
            "podman",
            "--root",
            str(self.store),
            "--runroot",
            f"{self.store}-run",
            "--storage-driver",
            "overlay",
        ]


class Containerd(Puller):
    def pull(self, image: Image) -> None:
        run([*self._ctr(), "images", "pull", "--plain-http", "--snapshotter", "overlayfs", image.reference])

    def forget(self, image: Image) -> None:
        run([*self._ctr(), "images", "rm", "--sync", image.reference])

    def _ctr(self) -> list[str]:
        return ["ctr", "--address", f"{self.root}/containerd.sock"]


class SkopeoUmoci(Puller):
    def pull(self, image: Image) -> None:
        layout = f"{self.store}/layout:latest"
        self.store.mkdir()
        run(["skopeo", "copy", "--src-tls-verify=false", f"docker://{image.reference}", f"oci:{layout}"])
        run(["umoci", "unpack", "--image", layout, f"{self.store}/bundle"])


class Tar(Puller):
    """Reads the layers from tmpfs, one after the other, and verifies nothing."""

    def pull(self, image: Image) -> None:
        for number, layer in enumerate(image.layers):
            directory = self.store / str(number)
            directory.mkdir(parents=True)
            run(["tar", "--extract", "--gzip", "--file", str(layer), "--directory", str(directory)])


class Floor(Puller):
    def pull(self, image: Image) -> None:
        self.store.mkdir()
        argv = [sys.executable, "-c", _FLOOR]
        waiting = [[*argv, str(layer), f"{self.store}/{n}"] for n, layer in enumerate(image.layers)]
        running: list[subprocess.Popen[bytes]] = []
        while waiting or running:
            while waiting and len(running) < (os.cpu_count() or 1):
                running.append(subprocess.Popen(waiting.pop()))
            assert running.pop(0).wait() == 0


@contextmanager
def everyone(root: Path) -> Iterator[list[Puller]]:
    """Those that are installed here, ours first."""
    pullers: list[Puller] = [Ours(OURS, root), Tar("GNU tar xzf", root), Floor("floor", root)]
    if installed("podman"):
        pullers.insert(1, Podman("podman pull", root))
    if len(installed("skopeo", "umoci")) == 2:
        pullers.append(SkopeoUmoci("skopeo, umoci", root))
    if len(installed("containerd", "ctr")) < 2:
        yield pullers
        return
    with _containerd(root) as pid:
        yield [*pullers, Containerd(_CONTAINERD, root, daemon=pid)]


@contextmanager
def _containerd(root: Path) -> Iterator[int]:
    config = root / "containerd.toml"
    store = Containerd(_CONTAINERD, root).store
    config.write_text(
        f'version = 2\nroot = "{store}"\nstate = "{root}/containerd-state"\n'
        'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
        f'[grpc]\naddress = "{root}/containerd.sock"\n'
    )
    with (root / "containerd.log").open("wb") as log:
        process = subprocess.Popen(["containerd", "--config", str(config)], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + _READY
        while not (root / "containerd.sock").exists():
            assert process.poll() is None and time.monotonic() < deadline, "containerd does not start"
            time.sleep(0.05)
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def _cpu_of(pid: int) -> float:
    """Of the process and the children that it has collected; proc_pid_stat(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
