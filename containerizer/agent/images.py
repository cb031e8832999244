"""Images of an agent: pulled, listed and removed in threads of their own, which may wait for registries."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from containerizer.agent.events import Events
from containerizer.agent.settings import EngineSettings, ImageGc
from launcher.data import replace
from launcher.errors import ContainerizerError
from provisioner.progress import Progress, silent
from provisioner.provisioner import Policy, Provisioner
from provisioner.registry.options import Credentials, RegistryOptions

if TYPE_CHECKING:
    from provisioner.image import Image
    from provisioner.store.prune import Criteria, Pruned

T = TypeVar("T")


class Images:
    """Belongs to one event loop. Every method raises ContainerizerError."""

    def __init__(self, settings: EngineSettings, root: str, events: Events) -> None:
        self._events = events
        self._threads = ThreadPoolExecutor(settings.pulls, thread_name_prefix="pull")
        self._settings = settings
        self._root = root
        self.provisioner = Provisioner(root, registries=settings.registries, backend=settings.image_backend)

    def close(self) -> None:
        """Wait for what is under way."""
        self._threads.shutdown()

    async def pull(
        self,
        reference: str,
        *,
        policy: Policy = "always",
        platform: str | None = None,
        progress: Progress = silent,
        credentials: Credentials | None = None,
    ) -> Image:
        """Have the image in the store. `progress` is called in threads, and may raise to end it.

        `credentials`: instead of those that the agent was started with.
        """
        started = time.monotonic()
        provisioner = self.provisioner if credentials is None else self._asking_as(credentials)

        def pull() -> Image:
            return provisioner.pull(reference, policy=policy, platform=platform, progress=progress)

        try:
            image = await self.run(pull)
        except (ContainerizerError, OSError) as error:
            seconds = time.monotonic() - started
            self._events.tell("pull-failed", reference, seconds=seconds, message=str(error))
            raise
        self._events.tell("pulled", reference, seconds=time.monotonic() - started)
        return image

    async def all(self) -> Sequence[Image]:
        return await self.run(self.provisioner.images)

    async def remove(self, reference: str) -> Image:
        """Raises ImageNotFound, ImageInUse."""
        return await self.run(lambda: self.provisioner.remove(reference))

    async def prune(self, criteria: Criteria) -> Pruned:
        """Free the space of images that no container uses."""
        return await self.run(lambda: self.provisioner.prune(criteria))

    async def collect(self, gc: ImageGc) -> None:
        """Make room now and then, until it is cancelled. What fails is told, and tried again."""
        from provisioner.store.prune import Criteria

        while True:
            await asyncio.sleep(gc.interval)
            try:
                pruned = await self.prune(
                    Criteria(headroom=gc.headroom, fresh=gc.fresh, excluded=gc.excluded)
                )
            except (ContainerizerError, OSError) as error:
                self._events.tell("prune-failed", "images", message=str(error))
                continue
            for image in pruned.images:
                self._events.tell("pruned", image.reference)

    def _asking_as(self, credentials: Credentials) -> Provisioner:
        """What one learns of registries is not for others: a provisioner of its own."""
        options = replace(self._settings.registries or RegistryOptions(), credentials=credentials)
        return Provisioner(self._root, registries=options, backend=self._settings.image_backend)

    async def run(self, work: Callable[[], T]) -> T:
        """Have something done with them in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)
