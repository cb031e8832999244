"""Runner: makes the tries of one container's checks when they are due, and tells what follows.

    runner = Runner(containerizer, container.id, {"liveness": check})
    while True:
        poll(runner.descriptors(), runner.timeout())
        for event in runner.step(): …

One runner is one thread's, as its Containerizer is; many of them can be polled together.
"""

from __future__ import annotations

import functools
import select
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from containerizer import record as records
from containerizer.checks.attempt import Attempt, ThreadAttempt
from containerizer.checks.check import Check, Command, Grpc, Http, Result
from containerizer.checks.state import Event, Health
from containerizer.record import ContainerRecord
from launcher.container_id import ContainerId
from launcher.data import Data
from launcher.errors import ContainerizerError

if TYPE_CHECKING:
    from containerizer.containerizer import Containerizer


class _Trying(Data):
    """A try in progress."""

    attempt: Attempt
    until: float


class Runner:
    """Close it: what is still tried is given up then."""

    def __init__(
        self,
        owner: Containerizer,
        container_id: ContainerId,
        checks: Mapping[str, Check],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`checks` by their roles: containerizer.checks.state. Raises NoSuchContainer."""
        self._owner = owner
        self._record = records.load(owner.paths, container_id)
        self._clock = clock
        self._trying: dict[str, _Trying] = {}
        self.health = Health(checks, clock())
        self._untold = list(self.health.first)

    def descriptors(self) -> list[int]:
        """To be polled for input, besides the timeout."""
        return [trying.attempt.fileno() for trying in self._trying.values()]

    def timeout(self) -> float | None:
        """Seconds until `step` has something to do whatever is polled; None: not before."""
        if self._untold:
            return 0.0
        moments = [trying.until for trying in self._trying.values()]
        if self.health.next_at is not None:
            moments.append(self.health.next_at)
        return max(0.0, min(moments) - self._clock()) if moments else None

    def step(self) -> list[Event]:
        """Take the results that are there, and begin the tries that are due. Waits for none of them."""
        events = [*self._untold, *self._finish()]
        self._untold = []
        for role in self.health.due(self._clock()) if self.health.healthy else ():
            check = self.health.begin(role)
            try:
                attempt = begin(self._owner, self._record, check)
            except (ContainerizerError, OSError) as error:
                events += self.health.end(role, Result(success=False, message=str(error)), self._clock())
            else:
                self._trying[role] = _Trying(attempt, self._clock() + check.timeout)
        return events

    def close(self) -> None:
        while self._trying:
            self._trying.popitem()[1].attempt.close()

    def _finish(self) -> Iterator[Event]:
        for role, trying in list(self._trying.items()):
            result = finished(trying.attempt)
            if result is None and self._clock() >= trying.until:
                result = Result(success=False, message="timed out")
            if result is not None:
                del self._trying[role]
                trying.attempt.close()
                yield from self.health.end(role, result, self._clock())


def begin(owner: Containerizer, record: ContainerRecord, check: Check) -> Attempt:
    """Begin a try. Raises ContainerizerError, OSError."""
    from containerizer.checks import http, network

    action, timeout = check.action, check.timeout
    if isinstance(action, Command):
        from containerizer.checks.command import CommandAttempt

        return CommandAttempt(owner, record.id, action)
    if isinstance(action, Http):
        return ThreadAttempt(functools.partial(http.try_http, record, action, timeout))
    if isinstance(action, Grpc):
        from containerizer.checks.grpc import try_grpc

        return ThreadAttempt(functools.partial(try_grpc, record, action, timeout))
    return ThreadAttempt(functools.partial(network.tcp, record, action, timeout))


def finished(attempt: Attempt, timeout: float = 0.0) -> Result | None:
    """How it ended, if it does so within so many seconds."""
    poll = select.poll()
    poll.register(attempt.fileno(), select.POLLIN)
    return attempt.result() if poll.poll(timeout * 1000) else None


def try_once(owner: Containerizer, container_id: ContainerId, check: Check) -> Result:
    """One try, now, to its end or its timeout. Raises ContainerizerError, OSError."""
    attempt = begin(owner, records.load(owner.paths, container_id), check)
    try:
        return finished(attempt, check.timeout) or Result(success=False, message="timed out")
    finally:
        attempt.close()
