"""`make bench-launch`: a task from an image in the store, cold from the shell, against the peers here.

Every alternative runs `true` in busybox in the same namespaces with the same limits, in turns.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import peers
from benchmarks.interleave import Action, interleave, machine, table
from tests.support import images

ROUNDS = 30
LIMITS = ("-m", "64m", "--cpus", "0.5", "--pids-limit", "20")
OURS = "containerizer run"


def main() -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="bench-") as temporary, peers.pure_v1():
        root = Path(temporary)
        layout = images.write_layout([("latest", images.busybox())], root / "image")
        print(f"{machine()}; store on tmpfs; {ROUNDS} rounds in turns\n")
        print(table(interleave(_cold(root, layout), ROUNDS), OURS))


def _cold(root: Path, layout: Path) -> dict[str, Action]:
    command = str(Path(sys.executable).parent / "containerizer")
    ours = [command, "--root", str(root / "root"), "--state", str(root / "state"), "run", "--rm"]
    actions: dict[str, Action] = {OURS: partial(peers.run, [*ours, *LIMITS, f"oci:{layout}:latest", "true"])}
    if "podman" in peers.installed("podman"):
        podman = peers.podman(f"oci:{layout}:latest", root)
        actions["podman run --network none"] = partial(peers.run, [*podman, "true"])
    runtimes = peers.installed("crun", "runc") if peers.installed("crun") else []
    if runtimes:
        bundle = peers.bundle(root / "bundle", _rootfs(root, layout), ["true"])
        for name in runtimes:
            argv = [name, "run", "--bundle", str(bundle), f"bench-{name}"]
            actions[f"{name} run (a prepared bundle)"] = partial(peers.run, argv)
    return actions


def _rootfs(root: Path, layout: Path) -> Path:
    """The image unpacked for those that take a directory."""
    subprocess.run(
        ["umoci", "unpack", "--image", f"{layout}:latest", str(root / "unpacked")],
        check=True,
        capture_output=True,
    )
    return root / "unpacked" / "rootfs"


if __name__ == "__main__":
    main()
