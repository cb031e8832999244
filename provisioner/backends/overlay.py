"""The overlay backend: layers read-only below, the container's own writes on top; overlayfs(5).

DIRECTORY/rootfs      the mount point
DIRECTORY/upper       what the container writes
DIRECTORY/work        overlayfs' own
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Sequence

from launcher.kernel.process import is_rootless
from launcher.launch_info import Mount
from launcher.remove_tree import remove_tree
from provisioner.image import Rootfs

# No device of an image is usable: those in /dev are bind mounts of the host's, made by an isolator.
_FLAGS = ("nodev",)

WRITABLE = "upper"


class Overlay:
    """One overlay mount; without any layer, as an image FROM scratch may be, a bind of `upper`."""

    name = "overlay"

    def describe(self, layers: Sequence[str], directory: str) -> Rootfs:
        rootfs, upper, work = _directories(directory)
        if not layers:
            bind = Mount(target=rootfs, fstype="bind", source=upper, flags=_FLAGS)
            return Rootfs(path=rootfs, mounts=(bind,))
        # One option a layer, not one list: fsconfig(2) takes 500 of them, mount(2) a page of text.
        lowers = tuple(("lowerdir+", layer) for layer in reversed(layers))
        mount = Mount(
            target=rootfs,
            fstype="overlay",
            source="overlay",
            flags=_FLAGS,
            options=(*lowers, ("upperdir", upper), ("workdir", work), *self._own_attributes),
        )
        return Rootfs(path=rootfs, mounts=(mount,))

    @functools.cached_property
    def _own_attributes(self) -> tuple[tuple[str, str], ...]:
        """In a user namespace nobody may set overlayfs' usual ones; the layers were unpacked with these."""
        return (("userxattr", ""),) if is_rootless() else ()

    def provision(self, layers: Sequence[str], directory: str) -> Rootfs:
        rootfs, upper, work = _directories(directory)
        os.mkdir(rootfs, 0o755)
        os.mkdir(work, 0o700)
        _make_upper(upper, layers[-1] if layers else None)
        return self.describe(layers, directory)

    def destroy(self, directory: str) -> None:
        rootfs, upper, work = _directories(directory)
        remove_tree(upper)
        with contextlib.suppress(OSError):  # as overlayfs leaves it
            os.rmdir(f"{work}/work")
        remove_tree(work)
        # Never its contents: if it is still mounted somewhere, they are the image's.
        with contextlib.suppress(FileNotFoundError):
            os.rmdir(rootfs)


def _directories(directory: str) -> tuple[str, str, str]:
    return f"{directory}/rootfs", f"{directory}/{WRITABLE}", f"{directory}/work"


def _make_upper(path: str, top_layer: str | None) -> None:
    """The topmost directory gives / its owner and mode, so it takes the image's."""
    os.mkdir(path, 0o755)
    mode = 0o755
    if top_layer is not None:
        status = os.stat(top_layer)
        os.chown(path, status.st_uid, status.st_gid)
        mode = status.st_mode & 0o7777
    os.chmod(path, mode)
