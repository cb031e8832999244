"""The table of transitions: complete, one way down, and nothing outside of it."""

from __future__ import annotations

import itertools

import pytest

from containerizer.lifecycle import TRANSITIONS, IllegalTransition, State, transition


def test_the_table_has_every_state() -> None:
    assert set(TRANSITIONS) == set(State)


@pytest.mark.parametrize(("current", "following"), list(itertools.product(State, State)))
def test_what_is_not_in_the_table_cannot_happen(current: State, following: State) -> None:
    if following in TRANSITIONS[current]:
        assert transition(current, following) is following
    else:
        with pytest.raises(IllegalTransition, match=f"from {current.value} to {following.value}"):
            transition(current, following)


def test_every_state_ends_terminated_and_none_twice() -> None:
    order = list(State)
    for state, followers in TRANSITIONS.items():
        assert all(order.index(follower) > order.index(state) for follower in followers)
        assert followers or state is State.TERMINATED


def test_a_launch_can_be_given_up_at_any_point_before_the_end() -> None:
    alive = set(State) - {State.DESTROYING, State.TERMINATED}
    assert all(State.DESTROYING in TRANSITIONS[state] for state in alive)
