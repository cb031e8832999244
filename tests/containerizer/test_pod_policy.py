"""Restarts of a pod's containers, without a clock."""

from __future__ import annotations

import pytest

from containerizer.pods.policy import ALWAYS, NEVER, ON_FAILURE, Backoff, restarts


@pytest.mark.parametrize(
    ("policy", "after_success", "after_failure"),
    [(ALWAYS, True, True), (ON_FAILURE, False, True), (NEVER, False, False)],
)
def test_who_is_started_again(policy: str, after_success: bool, after_failure: bool) -> None:
    assert (restarts(policy, 0), restarts(policy, 1)) == (after_success, after_failure)
    assert (restarts(policy, 0, init=True), restarts(policy, 1, init=True)) == (False, after_failure)


def test_the_pause_doubles_up_to_five_minutes_and_is_forgotten_after_a_long_run() -> None:
    backoff, pauses = Backoff(), []
    for _ in range(7):
        backoff = backoff.after(1.0)
        pauses.append(backoff.pause)
    assert pauses == [10, 20, 40, 80, 160, 300, 300]
    assert backoff.after(600.0).pause == 10
