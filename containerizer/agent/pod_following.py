"""Follow a pod that a process of its own runs: by what that writes of it, and by that process' end."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator

from containerizer import liveness
from containerizer import record as records
from containerizer.paths import Paths
from containerizer.pods import status
from containerizer.pods.status import PodStatus
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest
from launcher.io.loop import is_ready
from launcher.kernel import inotify
from launcher.kernel.inotify import Changes


class PodFollowing:
    """Belongs to one event loop. To be closed."""

    def __init__(self, paths: Paths, container_id: ContainerId) -> None:
        """Raises NoSuchContainer, and InvalidRequest for what is no pod."""
        record = records.load(paths, container_id)
        self._paths = paths
        self._id = container_id
        self._changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        with contextlib.ExitStack() as held:
            events = inotify.MOVED_TO | inotify.DELETE_SELF
            self._changes = held.enter_context(Changes(paths.container_state(container_id), events))
            self._watch(self._changes.fileno(), held)
            self._runner = liveness.open_process(record.owner, record.owner_started)
            if self._runner is not None:
                held.callback(os.close, self._runner)
                self._watch(self._runner, held)
            if status.load(paths, container_id) is None:
                raise InvalidRequest(f"{container_id} is no pod", hint="AWAIT_CONTAINER is for containers")
            self._held = held.pop_all()

    def close(self) -> None:
        """Idempotent."""
        self._held.close()

    async def statuses(self) -> AsyncIterator[PodStatus]:
        """How it is, whenever that is another than before; the last one when nobody runs it any more."""
        told: PodStatus | None = None
        while True:
            self._changes.forget()
            self._changed.clear()
            self._listen(self._changes.fileno())
            is_over = self._runner is None or is_ready(self._runner)
            now = status.load(self._paths, self._id)
            if now is None:  # it is removed
                return
            if now != told:
                told = now
                yield now
            if is_over:
                return
            await self._changed.wait()

    def _watch(self, descriptor: int, held: contextlib.ExitStack) -> None:
        self._listen(descriptor)
        held.callback(self._loop.remove_reader, descriptor)

    def _listen(self, descriptor: int) -> None:
        self._loop.add_reader(descriptor, self._hear, descriptor)

    def _hear(self, descriptor: int) -> None:
        """Once: it stays readable for as long as the client takes."""
        self._loop.remove_reader(descriptor)
        self._changed.set()
