"""The agent's side of its lanes: starts them, shares work among them, and hears what has become of it.

A lane is started when there is work and all others are busy, up to a number. One that is killed, or
hangs and is killed by an operator, costs what it was launching, which fails and leaves nothing; what
ran under it goes on, and is found again as after a restart of the agent (Held.ended raises LaneGone).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from containerizer.agent.lanes import messages
from containerizer.agent.lanes.messages import (
    Abandon,
    Begin,
    Create,
    Ended,
    Execute,
    GiveUp,
    LaneFailed,
    Launched,
    Prepared,
    Proceed,
    Reached,
    Refused,
    Remove,
)
from containerizer.agent.settings import EngineSettings
from containerizer.termination import Termination
from isolators.resources import Limitation
from launcher import protocol
from launcher.container_id import ContainerId
from launcher.data import Data
from launcher.kernel import process
from launcher.protocol import PeerGone

_IMPORT_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
_BOOTSTRAP = """import sys; sys.path.insert(0, sys.argv[2])
from containerizer.agent.lanes import process; process.main()"""

_PEEK = int(socket.MSG_PEEK | socket.MSG_DONTWAIT)  # as enumerations they take longer than the call

First = Callable[[], Awaitable[object]]
Gone = Callable[[int, frozenset[ContainerId]], Awaitable[None]]
Told = Callable[[ContainerId, Limitation], object]  # of a limit that a container goes on within


class LaneGone(LaneFailed):
    """The lane was killed."""


class Held:
    """A container that runs, and that a lane sees to."""

    def __init__(self, launched: Launched) -> None:
        self.record = launched.record
        self.clamped = launched.clamped
        self.stages = launched.stages
        # Everything has been taken back; or what `destroy` raises, or LaneGone.
        self.ended: asyncio.Future[Termination | None] = asyncio.get_running_loop().create_future()


class Lane:
    """One of the processes. One thing at a time is asked of it."""

    def __init__(self, settings: EngineSettings, gone: Gone, reached: Told) -> None:
        """`gone` is told the pid of one that was killed, and what it held; before anybody else hears."""
        self._gone = gone
        self._reached = reached
        self._channel, theirs = protocol.channel()
        with theirs:
            self.pid = _start(theirs)
        self.held: dict[ContainerId, Held] = {}
        self.is_over = False
        self.is_gone = False  # as far as anybody has looked
        self.over = asyncio.Event()
        self._answers: asyncio.Queue[Any] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._channel.fileno(), self._receive)
        self._send(Begin(settings))

    async def ask(self, message: Data) -> Any:
        """The answer; for a launch that was given up it may be there already. Raises LaneGone and others."""
        if self._answers.empty() and not self.is_over:
            self._send(message)
        if self.over.is_set():
            raise _gone()
        answer = await self._answers.get()
        if isinstance(answer, Refused):
            raise answer.error.exception()
        if isinstance(answer, LaneGone):
            raise answer
        return answer

    def is_there(self) -> bool:
        """Whether it has not ended, as far as can be told without waiting."""
        if not self.is_gone:
            try:
                self.is_gone = not self._channel.recv(1, _PEEK)
            except BlockingIOError:
                pass
            except ConnectionError:
                self.is_gone = True
        return not self.is_gone

    def tell(self, message: Data) -> None:
        """Without an answer."""
        self._send(message)

    def close(self) -> None:
        """Have it let go of its containers, and end; `over` says when."""
        if not self.is_over:
            self._channel.shutdown(socket.SHUT_WR)

    def _send(self, message: Data) -> None:
        with contextlib.suppress(PeerGone):  # that will be read
            messages.send(self._channel, message)

    def _receive(self) -> None:
        try:
            message = messages.receive(self._channel)
        except PeerGone:
            self._loop.remove_reader(self._channel.fileno())
            self.is_over = self.is_gone = True
            self._channel.close()
            self._loop.create_task(self._conclude())
            return
        if isinstance(message, Ended):
            self._end(message)
            return
        if isinstance(message, Reached):
            self._reached(message.container_id, message.limitation)
            return
        if isinstance(message, Launched):
            held = Held(message)
            self.held[held.record.id] = message = held
        self._answers.put_nowait(message)

    def _end(self, message: Ended) -> None:
        ended = self.held.pop(message.container_id).ended
        if message.error is not None:
            ended.set_exception(message.error.exception())
            ended.exception()  # looked at
        else:
            ended.set_result(message.termination)

    async def _conclude(self) -> None:
        await asyncio.to_thread(process.collect, self.pid)
        try:
            await self._gone(self.pid, frozenset(self.held))
        finally:
            self._answers.put_nowait(_gone())
            for held in self.held.values():
                held.ended.set_exception(_gone())
                held.ended.exception()  # looked at
            self.over.set()


class Lanes:
    """As many as may launch at once."""

    def __init__(self, settings: EngineSettings, count: int, gone: Gone, reached: Told) -> None:
        self._settings = settings
        self._count = count
        self._gone = gone
        self._reached = reached
        self._all: list[Lane] = []
        self._idle: list[Lane] = []
        self._waiting: deque[asyncio.Future[Lane]] = deque()
        self._at_work: dict[ContainerId, Lane] = {}
        self._closing = False

    def warm(self) -> None:
        """Have one ready before it is needed."""
        if not self._all:
            self._idle.append(self._start())

    async def launch(self, container_id: ContainerId, message: Create | Execute, first: First | None) -> Held:
        """`first` is awaited when all is there, and the task does not run. Raises what comes of it, or
        LaunchFailed and others; then nothing is left. Not to be cancelled.
        """
        lane = await self._taken()
        self._at_work[container_id] = lane
        try:
            answer = await lane.ask(message)
            if isinstance(answer, Prepared):
                answer = await self._consented(lane, first)
            assert isinstance(answer, Held)
            return answer
        finally:
            del self._at_work[container_id]
            self._give_back(lane)

    async def _consented(self, lane: Lane, first: First | None) -> Any:
        try:
            if first is not None:
                await first()
        except BaseException:
            with contextlib.suppress(Exception):  # that it failed, as was to be expected
                await lane.ask(Abandon())
            raise
        return await lane.ask(Proceed())

    async def remove(self, container_id: ContainerId, *, force: bool) -> None:
        """Forget one that has ended. Raises as RemoteContainer.remove does. Not to be cancelled."""
        lane = await self._taken()
        try:
            await lane.ask(Remove(container_id, force))
        finally:
            self._give_back(lane)

    def give_up(self, container_id: ContainerId) -> None:
        """A launch that is under way here is not wanted any more."""
        lane = self._at_work.get(container_id)
        if lane is not None:
            lane.tell(GiveUp(container_id))

    async def close(self) -> None:
        """When nobody waits for them: have them let go of everything, and end."""
        self._closing = True
        for lane in self._all:
            lane.close()
        for lane in tuple(self._all):
            await lane.over.wait()

    async def _taken(self) -> Lane:
        while self._idle:
            lane = self._idle.pop()
            if lane.is_there():
                return lane
        if sum(not lane.is_gone for lane in self._all) < self._count:
            return self._start()
        waiting: asyncio.Future[Lane] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        return await waiting

    def _start(self) -> Lane:
        lane = Lane(self._settings, self._told_gone, self._reached)
        self._all.append(lane)
        return lane

    def _give_back(self, lane: Lane) -> None:
        if self._waiting and not lane.is_there():
            lane = self._start()  # in its place
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(lane)
                return
        self._idle.append(lane)

    async def _told_gone(self, pid: int, held: frozenset[ContainerId]) -> None:
        self._all = [lane for lane in self._all if lane.pid != pid]
        if not self._closing:
            await self._gone(pid, held)


def _gone() -> LaneGone:
    return LaneGone("the process that launches containers was killed", hint="try again")


def _start(channel: socket.socket) -> int:
    """Its pid. It has the agent's stderr."""
    number = channel.fileno()
    place = max(number, 2) + 1  # inherited there, while no other child can inherit the original
    actions: list[Any] = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0),
        (os.POSIX_SPAWN_DUP2, 0, 1),
        (os.POSIX_SPAWN_DUP2, number, place),
    ]
    argv = [sys.executable, "-I", "-c", _BOOTSTRAP, str(place), _IMPORT_ROOT]
    return os.posix_spawn(sys.executable, argv, os.environ, file_actions=actions)
