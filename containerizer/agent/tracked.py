"""Tracked: one running container of the agent's, and how its end is noticed, without a thread that waits.

One that this process has launched is a handle: the channel to its supervisor, and a watch for each
limit. One that it has found (after a restart, or launched by a command) is known by pidfds of its
processes, and the supervisor sees to its end itself; a limit is watched here all the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from containerizer import liveness
from containerizer.agent.lanes import Lane
from containerizer.agent.readiness import Readiness
from containerizer.container import Container
from containerizer.containerizer import Containerizer
from containerizer.record import ContainerRecord, NoSuchContainer
from containerizer.remote import DestroyTimeout, NotRunning, RemoteContainer
from containerizer.termination import Termination
from isolators.isolator import Watch
from isolators.resources import Limitation
from launcher.container_id import ContainerId
from launcher.errors import ContainerizerError

_TIMEOUT = 10.0  # seconds from the end of the last process until everything has been taken back


class Tracked:
    """`ended` is done when everything has been taken back; its result is None for one that is gone."""

    def __init__(self, record: ContainerRecord, lane: Lane, readiness: Readiness) -> None:
        self.record = record
        self.ended: asyncio.Future[Termination | None] = asyncio.get_running_loop().create_future()
        self._lane = lane
        self._readiness = readiness
        self._armed: list[int] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def id(self) -> ContainerId:
        return self.record.id

    async def finish(self) -> Termination | None:
        """Its end was noticed: have everything taken back. Raises what `destroy` does."""
        raise NotImplementedError

    async def let_go(self) -> None:
        """Leave it to its supervisor: the agent stops."""
        raise NotImplementedError

    def arm(self, at_end: Callable[[], None]) -> None:
        """Have `at_end` called, once, when the task has ended, and limits be seen to until then."""
        raise NotImplementedError

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

    def _watch(self, descriptor: int, check: Callable[[Containerizer], None]) -> None:
        async def look() -> None:
            with contextlib.suppress(ContainerizerError, OSError):  # it ends just now
                await self._lane.run(check)
                self._readiness.rearm(descriptor)

        self._add(descriptor, lambda: self._spawn(look()))


class Launched(Tracked):
    """A container that this process has launched, in the lane where it is seen to its end."""

    def __init__(self, container: Container, lane: Lane, readiness: Readiness) -> None:
        super().__init__(container.record, lane, readiness)
        self._container = container
        self._finishing = False

    def arm(self, at_end: Callable[[], None]) -> None:
        assert self._container.task is not None
        for descriptor, check in self._container.watched().items():
            self._watch(descriptor, partial(_apart, check))
        self._add(self._container.task.fileno(), at_end)

    async def finish(self) -> Termination | None:
        self._finishing = True
        self.disarm()
        await self.settle()
        termination = await self._lane.run(lambda _: self._container.wait())
        self.record = self._container.record
        return termination

    async def let_go(self) -> None:
        if not self._finishing:
            self.disarm()
            await self.settle()
            await self._lane.run(lambda _: self._container.detach())


class Found(Tracked):
    """A container that another process has launched, perhaps an agent before this one."""

    def __init__(self, record: ContainerRecord, lane: Lane, readiness: Readiness) -> None:
        super().__init__(record, lane, readiness)
        self._pidfd: int | None = None
        self._watches: list[Watch] = []

    async def open(self) -> None:
        """Take back what watches the limits, as far as there is something to watch."""
        self._watches = await self._lane.run(self._opened)

    def arm(self, at_end: Callable[[], None]) -> None:
        for watch in self._watches:
            descriptor = watch.fileno()
            if descriptor is not None:
                self._watch(descriptor, partial(self._check, watch))
        self._pidfd = _last_process(self.record)
        if self._pidfd is None:
            asyncio.get_running_loop().call_soon(at_end)
        else:
            self._add(self._pidfd, at_end)

    async def finish(self) -> Termination | None:
        await self._close()
        return await self._lane.run(self._wait)

    async def let_go(self) -> None:
        await self._close()

    async def _close(self) -> None:
        self.disarm()
        await self.settle()
        for watch in self._watches:
            watch.close()
        self._watches = []
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None

    def _opened(self, owner: Containerizer) -> list[Watch]:
        opened = []
        for isolator in owner.isolators_of(self.record):
            with contextlib.suppress(OSError):  # it ends just now, and its cgroup is gone
                watch = isolator.watch(self.id)
                if watch is not None:
                    opened.append(watch)
        return opened

    def _check(self, watch: Watch, owner: Containerizer) -> None:
        limitation: Limitation | None = watch.check()
        if limitation:  # the reaper asks the isolators again, and records it
            with contextlib.suppress(NoSuchContainer, NotRunning):
                RemoteContainer(owner, self.id).kill(signal.SIGKILL)

    def _wait(self, owner: Containerizer) -> Termination | None:
        try:
            termination = RemoteContainer(owner, self.id).wait(_TIMEOUT)
        except NoSuchContainer:
            return None
        if termination is None:
            raise DestroyTimeout(f"container {self.id} has ended, but is not taken back in {_TIMEOUT:g} s")
        return termination


def _apart(check: Callable[[], None], _: Containerizer) -> None:
    check()


def _last_process(record: ContainerRecord) -> int | None:
    """A pidfd of the process that ends last: the supervisor, or the task of one that lost it."""
    supervisor = liveness.open_process(record.supervisor, record.supervisor_started)
    return supervisor or liveness.open_process(record.pid, record.pid_started)
