"""What all areas of the CRI share: the engine, what is known, and who waits for the ends of containers.

What runs is the engine's; the store has what became of it, and is put right at each start: the agent may
have been killed between the two, and everything ends at a reboot.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Coroutine
from typing import Any

from containerizer import liveness
from containerizer import record as records
from containerizer.agent.engine import Engine
from containerizer.cri import endings
from containerizer.cri.events import Happenings
from containerizer.cri.proto import containers_pb2 as containers
from containerizer.cri.proto import pods_pb2 as pods
from containerizer.cri.proto.stored_pb2 import StoredContainer, StoredPod
from containerizer.cri.settings import CriSettings
from containerizer.cri.store import Store, id_of
from containerizer.cri.streams import Tokens
from containerizer.record import ContainerRecord, NoSuchContainer
from launcher.container_id import ContainerId
from launcher.errors import ContainerizerError

NANOSECONDS = 1_000_000_000


class Service:
    """Belongs to the engine's event loop."""

    def __init__(self, engine: Engine, settings: CriSettings) -> None:
        """Raises OSError."""
        self.engine = engine
        self.settings = settings
        self.store = Store(engine.paths.root)
        self.tokens = Tokens()
        self.happenings = Happenings()
        self._locks: dict[str, asyncio.Lock] = {}  # by id; what is asked of one is done in turn
        self._ends: dict[str, asyncio.Task[None]] = {}

    async def start(self) -> None:
        """After the engine's: take back what runs, and note what has ended meanwhile."""
        for pod in list(self.store.pods.values()):
            if self._is_running(id_of(pod)):
                self.await_pod(pod)
            elif pod.state == pods.SANDBOX_READY:
                self._pod_ended(pod)
        for container in list(self.store.containers.values()):
            await self._take_back(container)

    async def close(self) -> None:
        """Wait for nothing any more."""
        tasks = tuple(self._ends.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def lock(self, id_: str) -> asyncio.Lock:
        """Of one pod or container."""
        return self._locks.setdefault(id_, asyncio.Lock())

    def forget(self, id_: str) -> None:
        """It is gone."""
        self._locks.pop(id_, None)

    # Ends --------------------------------------------------------------------------------------

    def await_pod(self, pod: StoredPod) -> None:
        """Its own container runs: note when it ends."""
        self._await(pod.id, self._follow_pod(pod))

    def await_container(self, container: StoredContainer) -> None:
        """It runs: note how it ends."""
        self._await(container.id, self._follow(container))

    async def ended(self, id_: str) -> None:
        """Once what was awaited is noted; at once if nothing is."""
        task = self._ends.get(id_)
        if task is not None:
            await asyncio.shield(task)

    def _await(self, id_: str, work: Coroutine[Any, Any, None]) -> None:
        task = self._ends[id_] = asyncio.get_running_loop().create_task(work)

        def done(ended: asyncio.Task[None]) -> None:
            if self._ends.get(id_) is ended:
                del self._ends[id_]

        task.add_done_callback(done)

    async def _follow_pod(self, pod: StoredPod) -> None:
        with contextlib.suppress(ContainerizerError):  # removed by somebody else: it has ended, too
            await self.engine.wait(id_of(pod))
        self._pod_ended(pod)

    def _pod_ended(self, pod: StoredPod) -> None:
        pod.state = pods.SANDBOX_NOTREADY
        if pod.id in self.store.pods:
            self.store.save_pod(pod)
            self.happenings.tell(pod.id, containers.CONTAINER_STOPPED_EVENT, pod.id)

    async def _follow(self, container: StoredContainer) -> None:
        container_id = id_of(container)
        try:
            termination = await self.engine.wait(container_id)
        except ContainerizerError:
            endings.lost(container)
        else:
            endings.ended(container, termination, self._finished_at(container_id))
        if container.id in self.store.containers:
            self.store.save(container)
            self.happenings.tell(container.id, containers.CONTAINER_STOPPED_EVENT, container.pod_id)

    def _finished_at(self, container_id: ContainerId) -> int:
        record = self.record(container_id)
        finished = None if record is None else record.finished_at
        return time.time_ns() if finished is None else int(finished * NANOSECONDS)

    # The start ---------------------------------------------------------------------------------

    async def _take_back(self, container: StoredContainer) -> None:
        """One that has not ended: it runs, has ended meanwhile, or never did run."""
        if container.state == containers.CONTAINER_EXITED:
            return
        record = self.record(id_of(container))
        if record is not None and record.started_at is not None:
            container.state = containers.CONTAINER_RUNNING
            container.started_at = container.started_at or int(record.started_at * NANOSECONDS)
            self.await_container(container)
        elif container.state == containers.CONTAINER_RUNNING:
            endings.lost(container)
            self.store.save(container)

    def record(self, container_id: ContainerId) -> ContainerRecord | None:
        """What the agent knows of it."""
        with contextlib.suppress(NoSuchContainer):
            return records.load(self.engine.paths, container_id)
        return None

    def _is_running(self, container_id: ContainerId) -> bool:
        record = self.record(container_id)
        return record is not None and record.ended is None and liveness.is_running(record)
