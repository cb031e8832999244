"""Tracked: one running container of the agent's, and how its end is noticed, without a thread that waits.

One that a lane of this agent's has launched is seen to there, and all that comes here is its end. One that
was found (after a restart, launched by a command, or by a lane that was killed) is known by pidfds of its
processes, and the supervisor sees to its end itself; a limit is watched here all the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Collection, Coroutine, Sequence
from functools import partial
from typing import Any

from containerizer import liveness, reached
from containerizer.agent.lanes.pool import Held, LaneGone, Told
from containerizer.agent.readiness import Readiness
from containerizer.agent.workers import Worker
from containerizer.containerizer import Containerizer
from containerizer.record import ContainerRecord, NoSuchContainer
from containerizer.remote import DestroyTimeout, NotRunning, RemoteContainer
from containerizer.termination import Termination
from isolators.isolator import Isolator, Watch
from isolators.resources import Limitation
from launcher.container_id import ContainerId
from launcher.errors import ContainerizerError

_TIMEOUT = 10.0  # seconds from the end of the last process until everything has been taken back


class Tracked:
    """`ended` is done when everything has been taken back; its result is None for one that is gone."""

    def __init__(
        self, record: ContainerRecord, worker: Worker, readiness: Readiness, on_reached: Told
    ) -> None:
        """`on_reached` is called, in the loop, for each limit that it goes on within."""
        self.record = record
        self.ended: asyncio.Future[Termination | None] = asyncio.get_running_loop().create_future()
        self._worker = worker
        self._readiness = readiness
        self._on_reached = on_reached
        self._armed: list[int] = []
        self._watches: list[Watch] = []
        self._watching: set[str] = set()  # isolators of whom one is here
        self._known: set[object] = set()  # keys of the limits that were told here, or before
        self._over = False
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def id(self) -> ContainerId:
        return self.record.id

    def known_end(self) -> tuple[Termination | None] | None:
        """The result of `finish` when that has nothing to do any more."""
        return None

    async def finish(self) -> Termination | None:
        """Its end was noticed: have everything taken back. Raises what `destroy` does."""
        raise NotImplementedError

    async def let_go(self) -> None:
        """Leave it to its supervisor: the agent stops."""
        raise NotImplementedError

    def arm(self, at_end: Callable[[], None]) -> None:
        """Have `at_end` called, once, when the task has ended, and limits be seen to until then."""
        raise NotImplementedError

    async def updated(self, asked: Collection[str]) -> None:
        """Limits were set, perhaps some that its launch had not: watch what nobody has watched for those."""

        def opened(owner: Containerizer) -> list[Watch]:
            new = {each for each in asked if each not in self._watched_elsewhere()}
            isolators = owner.isolators_of(self.record)
            wanted = [each for each in isolators if each.watches_what_is_asked and each.enforces & new]
            return self._opened(owner, [each for each in wanted if each.name not in self._watching])

        for watch in await self._worker.run(opened):
            if self._over:
                watch.close()
                continue
            self._watches.append(watch)
            self._arm_watch(watch)
            self._spawn(self._look(watch))  # until now nobody has

    def _watched_elsewhere(self) -> Collection[str]:
        """The limits that another process of the agent's watches."""
        return ()

    def disarm(self) -> None:
        for descriptor in self._armed:
            self._readiness.remove(descriptor)
        self._armed = []

    async def settle(self) -> None:
        """Wait for the checks that are under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _add(self, descriptor: int, callback: Callable[[], None]) -> None:
        self._readiness.add(descriptor, callback)
        self._armed.append(descriptor)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _close_watches(self) -> None:
        self._over = True
        self.disarm()
        await self.settle()
        for watch in self._watches:
            watch.close()
        self._watches = []

    def _arm_watch(self, watch: Watch) -> None:
        descriptor = watch.fileno()
        if descriptor is None:
            return

        self._add(descriptor, lambda: self._spawn(self._look(watch, descriptor)))

    async def _look(self, watch: Watch, descriptor: int | None = None) -> None:
        """`descriptor` is rearmed, unless the look fails: it would be ready at once, again and again."""
        with contextlib.suppress(ContainerizerError, OSError):  # it ends just now
            for fresh in await self._worker.run(partial(self._check, watch)):
                self._known.add(fresh.key)
                self._on_reached(self.id, fresh.limitation)
            if descriptor is not None:
                self._readiness.rearm(descriptor)

    def _opened(self, owner: Containerizer, isolators: Sequence[Isolator]) -> list[Watch]:
        opened: list[Watch] = []
        for isolator in isolators:
            try:
                watch = isolator.watch(self.id)
            except (ContainerizerError, OSError):
                if liveness.is_running(self.record):
                    for each in opened:
                        each.close()
                    raise
                continue  # it has ended, and somebody has removed what tells of its limits
            if watch is not None:
                opened.append(watch)
                self._watching.add(isolator.name)
        return opened

    def _check(self, watch: Watch, owner: Containerizer) -> list[reached.Noted]:
        """What it tells that was not known."""
        fresh: list[reached.Noted] = []

        def note(limitation: Limitation) -> None:
            if reached.note(owner.paths, self.id, limitation):
                fresh.append(reached.Noted(time=time.time(), limitation=limitation))

        if reached.check(watch.check, note):  # the reaper asks the isolators again, and records it
            with contextlib.suppress(NoSuchContainer, NotRunning):
                RemoteContainer(owner, self.id).kill(signal.SIGKILL)
        return fresh


class Launched(Tracked):
    """A container that a lane sees to; if the lane is killed, it is one that was found."""

    def __init__(self, held: Held, worker: Worker, readiness: Readiness, on_reached: Told) -> None:
        super().__init__(held.record, worker, readiness, on_reached)
        self._held = held
        self._found: Found | None = None

    def arm(self, at_end: Callable[[], None]) -> None:
        self._at_end = at_end
        self._held.ended.add_done_callback(self._tell)

    def _tell(self, _: object) -> None:
        self._at_end()

    async def updated(self, asked: Collection[str]) -> None:
        if self._found is None:
            await super().updated(asked)
        else:
            await self._found.updated(asked)

    def _watched_elsewhere(self) -> Collection[str]:
        return self.record.limits.keys()  # of its launch, by the lane

    def known_end(self) -> tuple[Termination | None] | None:
        if self._watches or self._held.ended.exception() is not None:
            return None
        self._over = True  # what is being opened is closed again
        return (self._held.ended.result(),)

    async def finish(self) -> Termination | None:
        await self._close_watches()
        with contextlib.suppress(LaneGone):
            return await asyncio.shield(self._held.ended)
        self._found = Found(self.record, self._worker, self._readiness, self._on_reached)
        await self._found.open()
        over = asyncio.Event()
        self._found.arm(over.set)
        await over.wait()
        return await self._found.finish()

    async def let_go(self) -> None:
        self._held.ended.remove_done_callback(self._tell)
        await self._close_watches()
        if self._found is not None:
            await self._found.let_go()


class Found(Tracked):
    """A container that another process has launched, perhaps an agent before this one."""

    def __init__(
        self, record: ContainerRecord, worker: Worker, readiness: Readiness, on_reached: Told
    ) -> None:
        super().__init__(record, worker, readiness, on_reached)
        self._pidfd: int | None = None

    async def open(self) -> None:
        """Take back what watches the limits, as far as there is something to watch."""
        self._watches = await self._worker.run(self._taken_back)
        await self._tell_reached()

    def arm(self, at_end: Callable[[], None]) -> None:
        for watch in self._watches:
            self._arm_watch(watch)
        self._pidfd = _last_process(self.record)
        if self._pidfd is None:
            asyncio.get_running_loop().call_soon(at_end)
        else:
            self._add(self._pidfd, at_end)

    async def finish(self) -> Termination | None:
        await self._close()
        termination = await self._worker.run(self._wait)
        await self._tell_reached()  # whoever took it back has counted them
        return termination

    async def let_go(self) -> None:
        await self._close()

    async def _close(self) -> None:
        await self._close_watches()
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None

    def _taken_back(self, owner: Containerizer) -> list[Watch]:
        self._known = {each.key for each in reached.noted(owner.paths, self.id)}
        opened = self._opened(owner, owner.isolators_of(self.record))
        for watch in opened:  # while nobody watched, a limit may have been reached
            with contextlib.suppress(ContainerizerError, OSError):
                self._check(watch, owner)
        return opened

    async def _tell_reached(self) -> None:
        for each in await self._worker.run(lambda owner: reached.noted(owner.paths, self.id)):
            if each.key not in self._known:
                self._known.add(each.key)
                self._on_reached(self.id, each.limitation)

    def _wait(self, owner: Containerizer) -> Termination | None:
        try:
            termination = RemoteContainer(owner, self.id).wait(_TIMEOUT)
        except NoSuchContainer:
            return None
        if termination is None:
            raise DestroyTimeout(f"container {self.id} has ended, but is not taken back in {_TIMEOUT:g} s")
        return termination


def _last_process(record: ContainerRecord) -> int | None:
    """A pidfd of the process that ends last: the supervisor, or the task of one that lost it."""
    supervisor = liveness.open_process(record.supervisor, record.supervisor_started)
    return supervisor or liveness.open_process(record.pid, record.pid_started)
