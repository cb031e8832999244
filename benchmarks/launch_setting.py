"""The directories, the image and the bundle that a benchmark of launches works on."""

from __future__ import annotations

import subprocess
from pathlib import Path

from benchmarks import peers
from tests.support import images


class Setting:
    """The directories, and the image, of one benchmark."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.layout = images.write_layout([("latest", images.busybox())], root / "image")
        self.image = f"oci:{self.layout}:latest"
        self.directories = (str(root / "root"), str(root / "state"))
        self.runtimes = peers.installed("crun", "runc") if peers.installed("crun") else []
        if self.runtimes:
            self.bundle = peers.bundle(root / "bundle", peers.unpack(self.image, root / "unpacked"), ["true"])

    def oci(self, runtime: str, number: int = 0) -> None:
        argv = [runtime, "run", "--bundle", str(self.bundle), f"bench-{runtime}-{number}"]
        subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)
