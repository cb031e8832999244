"""What follows from the results of checks: pure. Times are seconds of any clock that goes forward.

A `Tally` is the account of one check. `Health` puts three of them together as Kubernetes does:

    startup     until it passes, the others wait; if it fails, the task is to be ended; then it is over
    liveness    if it fails, the task is to be ended
    readiness   whether others should use the task; it goes on, and may change its mind
    report      whether the task works, for whoever asks: Docker's; nothing follows, and it goes on

Without a startup check the task has started when it runs; without a readiness check it is ready when
it has started. Mesos' HealthCheck is a liveness check; its CheckInfo a readiness check whose results
somebody else reads.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping

from containerizer.checks.check import Check, Result
from launcher.data import Data, replace

STARTUP, LIVENESS, READINESS, REPORT = "startup", "liveness", "readiness", "report"


class Verdict(enum.Enum):
    """What the results so far say."""

    UNKNOWN = "unknown"  # too few of them
    PASSING = "passing"
    FAILING = "failing"


class Tally(Data, kw_only=True):
    """The results of one check, as far as they count."""

    check: Check
    started: float  # when the task did, or what the check had to wait for
    next_at: float | None  # when the next try is due; None while one is made, and after the last
    verdict: Verdict = Verdict.UNKNOWN
    successes: int = 0  # in a row
    failures: int = 0  # in a row, but for those in the grace period
    ever_passed: bool = False
    last: Result | None = None

    @classmethod
    def of(cls, check: Check, started: float) -> Tally:
        return cls(check=check, started=started, next_at=started + check.delay)

    def begun(self) -> Tally:
        """A try is being made."""
        return replace(self, next_at=None)

    def ended(self, result: Result, now: float) -> Tally:
        """The try has ended like this."""
        following = replace(self, last=result, next_at=now + self.check.interval)
        if result.success:
            return following._succeeded()
        if self.ever_passed or now - self.started >= self.check.grace:
            return following._failed()
        pause = self.check.interval if self.check.grace_interval is None else self.check.grace_interval
        return replace(following, successes=0, next_at=now + pause)

    def _succeeded(self) -> Tally:
        successes = self.successes + 1
        passes = successes >= self.check.success_threshold
        return replace(
            self,
            successes=successes,
            failures=0,
            ever_passed=True,
            verdict=Verdict.PASSING if passes else self.verdict,
        )

    def _failed(self) -> Tally:
        failures = self.failures + 1
        fails = failures >= self.check.failure_threshold
        return replace(
            self, failures=failures, successes=0, verdict=Verdict.FAILING if fails else self.verdict
        )


class Event(enum.Enum):
    """What has changed."""

    STARTED = "started"
    READY = "ready"
    NOT_READY = "not ready"
    UNHEALTHY = "unhealthy"  # to be ended; nothing follows


class Health:
    """The checks of one run of a task. Changes by what it is told, and by nothing else."""

    def __init__(self, checks: Mapping[str, Check], now: float) -> None:
        """`checks` by their roles; `now` is the task's start."""
        self._waiting = dict(checks)
        self.tallies: dict[str, Tally] = {}
        self.started = False
        self.ready = False
        self.healthy = True
        if STARTUP in checks:
            self.tallies[STARTUP] = Tally.of(checks[STARTUP], now)
            self.first: list[Event] = []  # what is true from the start
        else:
            self.first = list(self._start(now))

    def due(self, now: float) -> list[str]:
        """The roles of the checks to try now; `begin` each of them."""
        tallies = self.tallies.items()
        return [role for role, tally in tallies if tally.next_at is not None and tally.next_at <= now]

    @property
    def next_at(self) -> float | None:
        """When something will be due; None: nothing, as long as nothing ends."""
        return min((t.next_at for t in self.tallies.values() if t.next_at is not None), default=None)

    def begin(self, role: str) -> Check:
        """A try of this check is being made."""
        self.tallies[role] = self.tallies[role].begun()
        return self.tallies[role].check

    def end(self, role: str, result: Result, now: float) -> list[Event]:
        """The try has ended; what that changes."""
        if not self.healthy:
            return []
        tally = self.tallies[role] = self.tallies[role].ended(result, now)
        return list(self._follow(role, tally.verdict, now))

    def _follow(self, role: str, verdict: Verdict, now: float) -> Iterator[Event]:
        if role == READINESS:
            ready = verdict is Verdict.PASSING
            if ready != self.ready:
                self.ready = ready
                yield Event.READY if ready else Event.NOT_READY
        elif role != REPORT and verdict is Verdict.FAILING:
            yield from self._give_up()
        elif role == STARTUP and verdict is Verdict.PASSING:
            self.tallies[STARTUP] = self.tallies[STARTUP].begun()  # never again
            yield from self._start(now)

    def _start(self, now: float) -> Iterator[Event]:
        self.started = True
        yield Event.STARTED
        for role in (LIVENESS, READINESS, REPORT):
            if role in self._waiting:
                self.tallies[role] = Tally.of(self._waiting[role], now)
        if READINESS not in self._waiting:
            self.ready = True
            yield Event.READY

    def _give_up(self) -> Iterator[Event]:
        self.healthy = False
        self.tallies = {role: tally.begun() for role, tally in self.tallies.items()}
        if self.ready:
            self.ready = False
            yield Event.NOT_READY
        yield Event.UNHEALTHY
