"""The keeper: holds every container that runs, notices its end, and sees to it that each is taken back.

A destroy that fails is tried again, with longer and longer pauses, until it succeeds or somebody else
has done it; meanwhile it is listed in `failures`. So no container is ever stuck, or forgotten.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Collection, Coroutine
from typing import Any

from containerizer import liveness
from containerizer import record as records
from containerizer.agent import orphans
from containerizer.agent.events import Events
from containerizer.agent.lanes.pool import Held, LaneGone, Lanes
from containerizer.agent.readiness import Readiness
from containerizer.agent.settings import EngineSettings
from containerizer.agent.survey import survey as look_around
from containerizer.agent.tracked import Found, Launched, Tracked
from containerizer.agent.workers import Worker, Workers
from containerizer.cleanup import take_back
from containerizer.containerizer import Containerizer
from containerizer.paths import Paths
from containerizer.record import ContainerRecord, NoSuchContainer
from containerizer.remote import RemoteContainer
from containerizer.termination import Termination
from launcher.container_id import ContainerId
from launcher.data import Data, asdict
from launcher.errors import InvalidRequest

_log = logging.getLogger("containerizer.agent")

_SLICE = 5.0  # seconds that a thread waits for somebody else's launch, at once


class Failure(Data, kw_only=True):
    """A destroy that has not succeeded yet."""

    container_id: str
    attempts: int
    message: str  # of the last one
    since: float  # seconds since the epoch


class Keeper:
    """Belongs to the engine's event loop."""

    def __init__(
        self, settings: EngineSettings, paths: Paths, workers: Workers, lanes: Lanes, events: Events
    ) -> None:
        self.readiness = Readiness()
        self.failures: dict[ContainerId, Failure] = {}
        self.recovery_errors = 0
        self._settings = settings
        self._paths = paths
        self._workers = workers
        self._lanes = lanes
        self._events = events
        self._tracked: dict[ContainerId, Tracked] = {}
        self._retries: dict[ContainerId, asyncio.Task[Termination | None]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    async def recover(self) -> None:
        """Take back what runs; destroy what was half launched, or has lost its supervisor."""
        survey = await self._workers.run(lambda owner: look_around(owner.paths))
        self.recovery_errors = len(survey.broken) + len(survey.strange)
        for path in survey.strange:
            _log.warning("no container can have this: %s", path)
        for record in survey.records:
            if record.ended is not None and record.state == "terminated":
                continue
            if liveness.is_running(record):
                if not liveness.is_launching(record):
                    await self._found(record)
                    self._events.tell("recovered", record.id)
                elif not self._settings.destroy_found:
                    self._spawn(self._await_launch(record.id))
                if not self._settings.destroy_found:
                    continue
            self.destroy_later(record.id)
        for container_id in reversed(survey.broken):
            _log.warning("the record of container %s makes no sense", container_id)
            self._spawn(self._wreck(container_id))
        await self._workers.run(orphans.remove)

    async def close(self) -> None:
        """Let go of everything; the containers run on."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for tracked in tuple(self._tracked.values()):
            await tracked.let_go()
            tracked.ended.cancel()
        self.readiness.close()

    async def lane_gone(self, pid: int, held: frozenset[ContainerId]) -> None:
        """A lane was killed: what it was launching is taken back, and leaves nothing, as if it had failed."""
        survey = await self._workers.run(lambda owner: look_around(owner.paths))
        for record in reversed(survey.records):
            over = record.ended is not None and record.state == "terminated"
            if record.owner == pid and not over and record.id not in held | self._tracked.keys():
                with contextlib.suppress(Exception):  # noted in `failures`
                    await self.remove(record.id, force=True)

    def adopt(self, tracked: Tracked) -> None:
        """Hold a container that runs from here on."""
        self._tracked[tracked.id] = tracked

        def at_end() -> None:
            if (known := tracked.known_end()) is not None:
                self._conclude(tracked, *known)
            else:
                self._spawn(self._finish(tracked))

        tracked.arm(at_end)

    def hold(self, held: Held, worker: Worker) -> None:
        """The same for one that a lane has launched."""
        self.adopt(Launched(held, worker, self.readiness, self._events.tell_reached))

    async def updated(self, container_id: ContainerId, asked: Collection[str]) -> None:
        """These limits of it were changed."""
        tracked = self._tracked.get(container_id)
        if tracked is not None:
            await tracked.updated(asked)

    @property
    def running(self) -> int:
        """How many are held."""
        return len(self._tracked)

    # The end -----------------------------------------------------------------------------------

    async def wait(self, container_id: ContainerId) -> Termination:
        """Raises NoSuchContainer, also for one whose launch was given up, or that is removed meanwhile."""
        tracked = self._tracked.get(container_id)
        if tracked is None:
            record = await self._launched_elsewhere(container_id)
            if record.ended is not None and record.state == "terminated":
                return record.ended
            tracked = self._tracked.get(container_id) or await self._found(record)
        termination = await asyncio.shield(tracked.ended)
        if termination is None:
            raise NoSuchContainer(f"container {container_id} was removed before its end was known")
        return termination

    async def destroy(self, container_id: ContainerId) -> Termination | None:
        """Those within first. Raises NoSuchContainer, DestroyTimeout, CleanupFailed; then it goes on."""
        record = records.load(self._paths, container_id)
        if record.ended is not None and record.state == "terminated":
            return record.ended
        await self._each_within(container_id, self.destroy)
        tracked = self._tracked.get(container_id)
        try:
            termination = await self._workers.run(self._destroying(container_id))
        except Exception as error:
            self._failed(container_id, error)
            self._retried(container_id)
            raise
        return await asyncio.shield(tracked.ended) if tracked is not None else termination

    def destroy_later(self, container_id: ContainerId) -> None:
        """Nobody waits for it; what fails is tried again all the same."""

        async def destroy() -> None:
            with contextlib.suppress(Exception):  # noted in `failures`
                await self.destroy(container_id)

        self._spawn(destroy())

    async def remove(self, container_id: ContainerId, *, force: bool) -> None:
        """Raises InvalidRequest if it runs, NoSuchContainer, and what `destroy` does."""
        record = records.load(self._paths, container_id)
        if not force and liveness.is_running(record):
            hint = "destroy it first, or remove it with force"
            raise InvalidRequest(f"container {container_id} is running", hint=hint)
        if record.ended is None or record.state != "terminated":
            await self.destroy(container_id)
        await self._each_within(container_id, lambda each: self.remove(each, force=True))

        def remove(owner: Containerizer) -> None:
            with contextlib.suppress(NoSuchContainer):  # with its parent, or by somebody else
                RemoteContainer(owner, container_id).remove(
                    force=force, timeout=self._settings.destroy_timeout
                )

        try:
            await asyncio.shield(self._lanes.remove(container_id, force=force))
        except LaneGone:
            await self._workers.run(remove)
        self._events.tell("removed", container_id)

    # How ---------------------------------------------------------------------------------------

    async def _found(self, record: ContainerRecord) -> Tracked:
        found = Found(record, self._workers.pick(), self.readiness, self._events.tell_reached)
        await found.open()
        self.adopt(found)
        return found

    async def _launched_elsewhere(self, container_id: ContainerId) -> ContainerRecord:
        """The record, once nobody is at work to launch the container."""
        while liveness.is_launching(record := records.load(self._paths, container_id)):
            await self._workers.run(lambda owner: RemoteContainer(owner, container_id).wait(_SLICE))
        return record

    async def _await_launch(self, container_id: ContainerId) -> None:
        """Hold what another process is launching once it runs, or have it taken back if that is killed."""
        with contextlib.suppress(NoSuchContainer):
            record = await self._launched_elsewhere(container_id)
            if record.ended is None and container_id not in self._tracked:
                await self._found(record)

    async def _each_within(
        self, container_id: ContainerId, what: Callable[[ContainerId], Coroutine[Any, Any, Any]]
    ) -> None:
        async def one(nested: ContainerId) -> None:
            with contextlib.suppress(NoSuchContainer):  # gone in the meantime
                await what(nested)

        await asyncio.gather(*(one(nested) for nested in records.nested(self._paths, container_id)))

    async def _wreck(self, container_id: ContainerId) -> None:
        """Take back, with the isolators loaded now, what has no record that says with which."""

        def wreck(owner: Containerizer) -> None:
            for isolator in reversed(owner.isolators):
                isolator.kill(container_id, self._settings.destroy_timeout)
            take_back(container_id, owner.isolators)
            owner.delete(container_id)

        try:
            await self._workers.run(wreck)
        except Exception as error:
            self._failed(container_id, error)

    async def _finish(self, tracked: Tracked) -> None:
        try:
            termination = await tracked.finish()
        except Exception as error:  # whatever it is, the container must not stay half destroyed
            self._failed(tracked.id, error)
            termination = await self._retried(tracked.id)
        self._conclude(tracked, termination)

    def _conclude(self, tracked: Tracked, termination: Termination | None) -> None:
        if self._tracked.get(tracked.id) is tracked:  # or its name is another's already
            del self._tracked[tracked.id]
        self._tell_end(tracked.id, termination)
        tracked.ended.set_result(termination)

    def _tell_end(self, container_id: ContainerId, termination: Termination | None) -> None:
        if termination is None:
            self._events.tell("ended", container_id, exit_code=None, message="removed by somebody else")
            return
        details: dict[str, Any] = {"exit_code": termination.exit_code, "message": termination.message}
        if termination.limitation is not None:
            details["limitation"] = asdict(termination.limitation)
        self._events.tell("ended", container_id, **details)

    def _destroying(self, container_id: ContainerId) -> Callable[[Containerizer], Termination | None]:
        timeout = self._settings.destroy_timeout
        return lambda owner: RemoteContainer(owner, container_id).destroy(timeout)

    def _failed(self, container_id: ContainerId, error: Exception) -> None:
        before = self.failures.get(container_id)
        failure = Failure(
            container_id=str(container_id),
            attempts=before.attempts + 1 if before else 1,
            message=str(error),
            since=before.since if before else time.time(),
        )
        self.failures[container_id] = failure
        self._events.tell("destroy-failed", container_id, message=failure.message, attempts=failure.attempts)

    def _retried(self, container_id: ContainerId) -> asyncio.Task[Termination | None]:
        """The one that tries again until it succeeds."""
        task = self._retries.get(container_id)
        if task is None:
            task = self._retries[container_id] = self._spawn(self._retry(container_id))
            task.add_done_callback(lambda _: self._retries.pop(container_id))
        return task

    async def _retry(self, container_id: ContainerId) -> Termination | None:
        pause = self._settings.retry_first
        while True:
            await asyncio.sleep(pause)
            try:
                termination = await self._workers.run(self._destroying(container_id))
            except Exception as error:
                self._failed(container_id, error)
                pause = min(2 * pause, self._settings.retry_last)
                continue
            self.failures.pop(container_id, None)
            return termination

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
