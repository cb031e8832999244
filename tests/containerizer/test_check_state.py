"""What follows from the results of checks, without a clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containerizer.checks.check import Check, Command, Http, Result, Tcp
from containerizer.checks.state import LIVENESS, READINESS, REPORT, STARTUP, Event, Health, Tally, Verdict
from launcher.errors import InvalidRequest

_COMMAND = Command(argv=("true",))
_GOOD, _BAD = Result(success=True), Result(success=False)


def _check(**options: float) -> Check:
    return Check(**{"action": _COMMAND, "delay": 5.0, "interval": 10.0, **options})


def _results(health: Health, role: str, text: str, now: float = 100.0) -> list[Event]:
    """`text` has a + for each success and a - for each failure, one a second."""
    events = []
    for index, letter in enumerate(text):
        health.begin(role)
        events += health.end(role, _GOOD if letter == "+" else _BAD, now + index)
    return events


def test_tries_are_due_after_the_delay_and_then_after_each_interval() -> None:
    health = Health({LIVENESS: _check()}, 100.0)
    assert (health.due(104.9), health.due(105.0), health.next_at) == ([], [LIVENESS], 105.0)
    health.begin(LIVENESS)
    assert (health.due(1000.0), health.next_at) == ([], None), "one try at a time"
    health.end(LIVENESS, _GOOD, 107.0)
    assert health.next_at == 117.0


def test_failures_in_a_row_end_it() -> None:
    health = Health({LIVENESS: _check()}, 0.0)
    assert health.first == [Event.STARTED, Event.READY]
    assert _results(health, LIVENESS, "--+--") == []
    assert _results(health, LIVENESS, "-") == [Event.NOT_READY, Event.UNHEALTHY]
    assert (health.next_at, health.healthy, health.ready) == (None, False, False)
    assert health.end(LIVENESS, _BAD, 999.0) == [], "what was tried meanwhile changes nothing"


def test_failures_in_the_grace_period_do_not_count_until_the_first_success() -> None:
    health = Health({LIVENESS: _check(grace=50.0, failure_threshold=2)}, 100.0)
    assert _results(health, LIVENESS, "------", now=101.0) == []
    assert _results(health, LIVENESS, "+--", now=110.0) == [Event.NOT_READY, Event.UNHEALTHY]
    late = Health({LIVENESS: _check(grace=50.0, failure_threshold=2)}, 100.0)
    assert _results(late, LIVENESS, "--", now=150.0)[-1] is Event.UNHEALTHY


def test_a_report_goes_on_whatever_it_says() -> None:
    health = Health({REPORT: _check()}, 0.0)
    for results, verdict in (("---", Verdict.FAILING), ("+", Verdict.PASSING), ("---", Verdict.FAILING)):
        assert _results(health, REPORT, results) == []
        assert health.tallies[REPORT].verdict is verdict
    assert (health.healthy, health.next_at is not None) == (True, True)


def test_readiness_may_change_its_mind() -> None:
    health = Health({READINESS: _check(success_threshold=2, failure_threshold=3)}, 0.0)
    assert health.first == [Event.STARTED]
    assert _results(health, READINESS, "+-+") == []
    assert _results(health, READINESS, "+") == [Event.READY]
    assert _results(health, READINESS, "+--") == []
    assert _results(health, READINESS, "-") == [Event.NOT_READY]
    assert _results(health, READINESS, "++") == [Event.READY]
    assert health.healthy


def test_the_others_wait_for_startup() -> None:
    checks = {STARTUP: _check(), LIVENESS: _check(), READINESS: _check()}
    health = Health(checks, 0.0)
    assert (health.first, list(health.tallies)) == ([], [STARTUP])
    assert _results(health, STARTUP, "--+", now=50.0) == [Event.STARTED]
    assert (health.next_at, health.due(57.0)) == (57.0, [LIVENESS, READINESS]), "never again itself"


def test_a_startup_that_fails_is_the_end() -> None:
    health = Health({STARTUP: _check(failure_threshold=1), LIVENESS: _check()}, 0.0)
    assert _results(health, STARTUP, "-") == [Event.UNHEALTHY]


@given(st.text("+-", max_size=40), st.integers(1, 4), st.integers(1, 4))
def test_a_verdict_is_of_the_last_results_in_a_row(text: str, successes: int, failures: int) -> None:
    tally = Tally.of(_check(success_threshold=successes, failure_threshold=failures), 0.0)
    for letter in text:
        tally = tally.begun().ended(_GOOD if letter == "+" else _BAD, 100.0)
    if text.endswith("+" * successes):
        assert tally.verdict is Verdict.PASSING
    elif text.endswith("-" * failures):
        assert tally.verdict is Verdict.FAILING
    elif "+" * successes not in text:
        assert tally.verdict is not Verdict.PASSING
    assert tally.next_at == 110.0 or not text


@pytest.mark.parametrize(
    "make",
    [
        lambda: _check(interval=-1.0),
        lambda: _check(timeout=0.0),
        lambda: _check(failure_threshold=0),
        lambda: Tcp(port=0),
        lambda: Tcp(port=65536),
        lambda: Http(port=80, host="example.org"),
        lambda: Http(port=80, path="relative"),
        lambda: Http(port=80, headers=(("A", "b\r\nC: d"),)),
    ],
)
def test_what_makes_no_sense_is_refused(make: object) -> None:
    assert callable(make)
    with pytest.raises(InvalidRequest):
        make()


def test_until_the_first_success_in_the_grace_period_tries_come_at_their_own_interval() -> None:
    tally = Tally.of(_check(delay=1.0, interval=30.0, grace=10.0, grace_interval=2.0), 100.0)
    assert tally.next_at == 101.0
    bad, good = Result(success=False), Result(success=True)
    assert tally.ended(bad, 102.0).next_at == 104.0
    assert tally.ended(good, 102.0).next_at == 132.0
    assert tally.ended(good, 102.0).ended(bad, 103.0).next_at == 133.0
    assert tally.ended(bad, 111.0).next_at == 141.0
