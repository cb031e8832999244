"""The bind backend: an image of one layer as it lies in the store, read-only; nothing is copied or made.

DIRECTORY/rootfs      the mount point

The image has to hold what is mounted on: /proc, /sys, /dev, and /etc/hostname, hosts and resolv.conf.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from launcher.launch_info import Mount
from provisioner.errors import UnsupportedImage
from provisioner.image import Rootfs


class Bind:
    """A read-only bind mount of the layer."""

    name = "bind"

    def describe(self, layers: Sequence[str], directory: str) -> Rootfs:
        """Raises UnsupportedImage for an image that does not have exactly one layer."""
        if len(layers) != 1:
            raise UnsupportedImage(
                f"the bind backend takes an image of one layer, not of {len(layers)}",
                hint="use the overlay or the copy backend",
            )
        rootfs = f"{directory}/rootfs"
        mount = Mount(target=rootfs, fstype="bind", source=layers[0], flags=("ro", "nodev"))
        return Rootfs(path=rootfs, mounts=(mount,))

    def provision(self, layers: Sequence[str], directory: str) -> Rootfs:
        rootfs = self.describe(layers, directory)
        os.mkdir(rootfs.path, 0o755)
        return rootfs

    def destroy(self, directory: str) -> None:
        if os.path.isdir(f"{directory}/rootfs"):
            os.rmdir(f"{directory}/rootfs")
