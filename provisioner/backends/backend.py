"""Backend: a way to make a root filesystem of layers. It prepares directories; it mounts nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from provisioner.image import Rootfs


class Backend(Protocol):
    """One way. `layers` are the layers' directories, bottom first; `directory` is the container's."""

    name: str

    def describe(self, layers: Sequence[str], directory: str) -> Rootfs:
        """The mounts that make the root filesystem, touching nothing."""

    def provision(self, layers: Sequence[str], directory: str) -> Rootfs:
        """Make in `directory` what the mounts need. Raises OSError; `destroy` cleans up."""

    def destroy(self, directory: str) -> None:
        """Remove what `provision` made, after everything was unmounted. Idempotent."""
