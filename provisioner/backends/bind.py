"""The bind backend: an image of one layer as it lies in the store, read-only; next to nothing is copied.

DIRECTORY/rootfs      the mount point
DIRECTORY/etc         a copy of the image's /etc, mounted on it

In a read-only layer nothing can be made, so the image has to hold /proc, /sys, /dev and /etc. What containers
need changed, their host name, names of hosts and DNS servers, is all in /etc: hence the copy.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

from launcher.launch_info import Mount
from launcher.remove_tree import remove_tree
from provisioner.errors import UnsupportedImage
from provisioner.image import Rootfs

_NEEDED = ("proc", "sys", "dev", "etc")
_HINT = "use the overlay or the copy backend"


class Bind:
    """A read-only bind mount of the layer, and on its /etc one that can be written."""

    name = "bind"

    def describe(self, layers: Sequence[str], directory: str) -> Rootfs:
        """Raises UnsupportedImage for an image that does not have exactly one layer, or lacks a directory."""
        if len(layers) != 1:
            raise UnsupportedImage(
                f"the bind backend takes an image of one layer, not of {len(layers)}", hint=_HINT
            )
        lacking = [f"/{name}" for name in _NEEDED if not _is_directory(f"{layers[0]}/{name}")]
        if lacking:
            raise UnsupportedImage(
                f"the image has no directory {', '.join(lacking)}, and in a read-only one none can be made",
                hint=_HINT,
            )
        rootfs = f"{directory}/rootfs"
        mount = Mount(target=rootfs, fstype="bind", source=layers[0], flags=("ro", "nodev"))
        etc = Mount(target="/etc", fstype="bind", source=f"{directory}/etc", flags=("nodev",))
        return Rootfs(path=rootfs, mounts=(mount,), inside=(etc,))

    def provision(self, layers: Sequence[str], directory: str) -> Rootfs:
        from provisioner.backends.copy_tree import merge

        rootfs = self.describe(layers, directory)
        os.mkdir(rootfs.path, 0o755)
        os.mkdir(f"{directory}/etc", 0o700)
        merge(f"{layers[0]}/etc", f"{directory}/etc")
        return rootfs

    def destroy(self, directory: str) -> None:
        remove_tree(f"{directory}/etc")
        if os.path.isdir(f"{directory}/rootfs"):
            os.rmdir(f"{directory}/rootfs")


def _is_directory(path: str) -> bool:
    """And no link to one, which would lead elsewhere while the container's root is not its root yet."""
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except FileNotFoundError:
        return False
