"""The other runtimes that are installed here, each as a command that runs the same task."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

NAMESPACES = ("pid", "network", "ipc", "uts", "mount", "cgroup")

# podman asks for more files and processes than a host without CAP_SYS_RESOURCE may grant.
_PODMAN = ("--ulimit", "nproc=1000:1000", "--ulimit", "nofile=1000:1000")


def installed(*names: str) -> list[str]:
    return [name for name in names if shutil.which(name)]


def bundle(directory: Path, rootfs: Path, argv: list[str]) -> Path:
    """An OCI runtime bundle of the task: what crun and runc take."""
    directory.mkdir(parents=True, exist_ok=True)
    subprocess.run(["crun", "spec"], cwd=directory, check=True)
    spec = json.loads((directory / "config.json").read_text())
    spec["root"] = {"path": str(rootfs), "readonly": False}
    spec["process"] |= {"args": argv, "terminal": False}
    spec["process"].pop("rlimits", None)
    spec["linux"]["namespaces"] = [{"type": kind} for kind in NAMESPACES]
    spec["linux"]["resources"] = {
        "memory": {"limit": 64 << 20},
        "cpu": {"quota": 50_000, "period": 100_000},
        "pids": {"limit": 20},
    }
    (directory / "config.json").write_text(json.dumps(spec))
    return directory


def podman(image: str, root: Path) -> list[str]:
    """The beginning of a podman command that runs a task without a network."""
    storage = ["--root", str(root / "podman"), "--runroot", str(root / "podman-run")]
    limits = ["--memory", "64m", "--cpus", "0.5", "--pids-limit", "20"]
    runtime = ["--runtime", "crun", "--cgroup-manager", "cgroupfs", "--events-backend", "none"]
    return ["podman", *storage, *runtime, "run", "--rm", "--network", "none", *_PODMAN, *limits, image]


def unpack(image: str, directory: Path) -> Path:
    """The root filesystem of an image in an OCI layout, for runtimes that take a directory."""
    layout = image.removeprefix("oci:")
    argv = ["umoci", "unpack", "--image", layout, str(directory)]
    subprocess.run(argv, check=True, capture_output=True)
    return directory / "rootfs"


def forget_podman(root: Path) -> None:
    """Take down the mounts that podman leaves on its storage: binds of itself, on each other."""
    storage = root / "podman" / "overlay"
    while subprocess.run(["umount", str(storage)], check=False, capture_output=True).returncode == 0:
        pass


@contextmanager
def pure_v1() -> Iterator[None]:
    """crun refuses a hybrid host as long as v2 has a controller; hugetlb is the one that may move."""
    controllers = Path("/sys/fs/cgroup/unified/cgroup.controllers")
    mounted = " hugetlb" in output(["findmnt", "-rn", "-t", "cgroup", "-o", "FSTYPE,FS-OPTIONS"]).replace(
        ",", " "
    )
    if mounted or not controllers.exists() or set(controllers.read_text().split()) - {"hugetlb"}:
        yield
        return
    place = Path("/sys/fs/cgroup/hugetlb")
    place.mkdir(exist_ok=True)
    # Also where v2 does not have it just now: a hierarchy that was let go of comes back there late.
    subprocess.run(["mount", "-t", "cgroup", "-o", "hugetlb", "cgroup", str(place)], check=True)
    try:
        yield
    finally:
        # As long as a peer's cgroup is in it, the hierarchy lives on and v2 does not get hugetlb back.
        for parent in (*place.parent.glob("*/libpod_parent"), *place.parent.glob("*/docker")):
            for cgroup in [*sorted(parent.glob("*/"), reverse=True), parent]:
                cgroup.rmdir()
        subprocess.run(["umount", str(place)], check=True)
        place.rmdir()


def run(argv: list[str], environment: Mapping[str, str] | None = None) -> None:
    """Run to the end without a word; raises CalledProcessError with what it said."""
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, capture_output=True, env=environment)


def output(argv: list[str]) -> str:
    """What a command says, whatever its exit status."""
    return subprocess.run(argv, check=False, capture_output=True, text=True).stdout
