"""Stages of a launch: how long each takes, and in which one a launch failed."""

from __future__ import annotations

import time
from collections.abc import Mapping

from containerizer.lifecycle import State

CLONE, EXECUTE = "clone", "execute"
STAGES = ("provision", "prepare", CLONE, "isolate", "fetch", EXECUTE)

_BEGUN_BY: Mapping[State, str] = {
    State.PROVISIONING: "provision",
    State.PREPARING: "prepare",
    State.ISOLATING: "isolate",
    State.FETCHING: "fetch",
}
_ATTRIBUTE = "launch_stage"


class Stages:
    """Of one launch."""

    __slots__ = ("_since", "current", "seconds")

    def __init__(self) -> None:
        self.current: str | None = None
        self.seconds: dict[str, float] = {}  # of those that are over
        self._since = 0.0

    def enter(self, state: State) -> None:
        """The container has come to this state."""
        self.begin(_BEGUN_BY.get(state))

    def begin(self, stage: str | None) -> None:
        now = time.monotonic()
        if self.current is not None:
            self.seconds[self.current] = now - self._since
        self.current, self._since = stage, now


def blame(error: BaseException, stage: str | None) -> None:
    """Let the error tell in which stage it came."""
    if stage is not None:
        vars(error)[_ATTRIBUTE] = stage


def of(error: BaseException) -> str | None:
    """None: before the first, or after the last."""
    stage: str | None = vars(error).get(_ATTRIBUTE)
    return stage
