"""A launch in progress, from its request on: what is known of a container that may have no record yet."""

from __future__ import annotations

import asyncio
import contextlib
import time

from containerizer.record import ContainerRecord
from containerizer.request import ContainerRequest
from launcher.errors import LaunchFailed
from provisioner.errors import ImageNotFound
from provisioner.image import Image
from provisioner.progress import Phase
from provisioner.provisioner import Provisioner


class Admission:
    """Belongs to one event loop."""

    def __init__(self, request: ContainerRequest) -> None:
        self.record = ContainerRecord(
            container_id=str(request.container_id),
            image=request.image,
            state="provisioning",
            created_at=time.time(),
        )
        self.given_up = False  # somebody wants it destroyed
        self.over = asyncio.Event()

    def check(self, stage: str = "its image was pulled") -> None:
        """Raises LaunchFailed for one that was given up."""
        if self.given_up:
            raise LaunchFailed(f"container {self.record.container_id} was destroyed while {stage}")

    def progress(self, layer: str, phase: Phase, done: int, total: int) -> None:
        """A provisioner.progress.Progress that ends the pull of a launch that is given up."""
        self.check()


def stored(provisioner: Provisioner, request: ContainerRequest) -> Image | None:
    """The image if there is nothing to pull: to look takes less than to have a thread do it."""
    if request.pull == "always":
        return None
    with contextlib.suppress(ImageNotFound):
        return provisioner.pull(request.image, policy="never", platform=request.platform)
    return None
