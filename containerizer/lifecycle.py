"""The life cycle of a container: its states, and the literal table of transitions.

Pure: this module changes nothing and knows nobody. What is not in the table cannot happen.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping


class State(enum.StrEnum):
    """Where a container is in its life; the value is what is stored and shown."""

    STARTING = "starting"  # the name is taken, nothing else is
    PROVISIONING = "provisioning"  # the image is pulled, the root filesystem described
    PREPARING = "preparing"  # the isolators say what the launcher has to do
    ISOLATING = "isolating"  # the child exists and blocks; the isolators act on its pid
    FETCHING = "fetching"  # what the task asked for is brought into the sandbox
    RUNNING = "running"  # the task has been executed
    DESTROYING = "destroying"  # killed, or ended by itself: everything is being taken back
    TERMINATED = "terminated"  # nothing is left but the sandbox and the termination


# Each state → those that may follow. A launch can fail, or be given up, in every state before
# RUNNING; there is one way down, and it is never left.
TRANSITIONS: Mapping[State, frozenset[State]] = {
    State.STARTING: frozenset({State.PROVISIONING, State.DESTROYING}),
    State.PROVISIONING: frozenset({State.PREPARING, State.DESTROYING}),
    State.PREPARING: frozenset({State.ISOLATING, State.DESTROYING}),
    State.ISOLATING: frozenset({State.FETCHING, State.DESTROYING}),
    State.FETCHING: frozenset({State.RUNNING, State.DESTROYING}),
    State.RUNNING: frozenset({State.DESTROYING}),
    State.DESTROYING: frozenset({State.TERMINATED}),
    State.TERMINATED: frozenset(),
}


# In these the launcher is at work, and takes back what it did if a step fails; later it only waits.
LAUNCHING = frozenset({State.STARTING, State.PROVISIONING, State.PREPARING, State.ISOLATING, State.FETCHING})


# Too short to be worth a checkpoint: whoever comes upon one finds the state before, and does the same. If an
# image has to be pulled, or something fetched, it takes its time, and gets one.
BRIEF = frozenset({State.PROVISIONING, State.PREPARING, State.FETCHING})


class IllegalTransition(Exception):
    """A defect of ours: the message names both states."""


def transition(current: State, following: State) -> State:
    """The state that follows. Raises IllegalTransition."""
    if following not in TRANSITIONS[current]:
        raise IllegalTransition(f"a container cannot go from {current.value} to {following.value}")
    return following
