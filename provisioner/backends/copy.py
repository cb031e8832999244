"""The copy backend: all layers merged into one directory of the container's; for hosts without overlayfs.

DIRECTORY/rootfs      the mount point
DIRECTORY/copy        the merged layers, and what the container writes
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from launcher.launch_info import Mount
from launcher.remove_tree import remove_tree
from provisioner.image import Rootfs

MERGED = "copy"


class Copy:
    """A bind mount of the copy. Where the filesystem shares extents (reflink), it costs no space."""

    name = "copy"

    def describe(self, layers: Sequence[str], directory: str) -> Rootfs:
        rootfs = f"{directory}/rootfs"
        mount = Mount(target=rootfs, fstype="bind", source=f"{directory}/{MERGED}", flags=("nodev",))
        return Rootfs(path=rootfs, mounts=(mount,))

    def provision(self, layers: Sequence[str], directory: str) -> Rootfs:
        from provisioner.backends.copy_tree import merge

        os.mkdir(f"{directory}/rootfs", 0o755)
        os.mkdir(f"{directory}/{MERGED}", 0o700)
        os.chmod(f"{directory}/{MERGED}", 0o755)  # noqa: S103 - whatever the umask; it becomes the task's /
        for layer in layers:
            merge(layer, f"{directory}/{MERGED}")
        return self.describe(layers, directory)

    def destroy(self, directory: str) -> None:
        remove_tree(f"{directory}/{MERGED}")
        if os.path.isdir(f"{directory}/rootfs"):
            os.rmdir(f"{directory}/rootfs")
