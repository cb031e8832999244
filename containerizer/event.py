"""Event: something that has happened to a container or an image, as people and programs are told of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from launcher.data import Data, field


class Event(Data, kw_only=True):
    """One happening. The kinds are those of `KINDS`."""

    kind: str
    subject: str  # a container's id, or an image's reference
    time: float = field(default_factory=time.time)  # seconds since the epoch
    details: Mapping[str, Any] = field(default_factory=dict)  # ready for JSON
    missed: int = 0  # events before this one that a slow subscriber has lost

    @property
    def about_image(self) -> bool:
        return self.kind in ("pulled", "pull-failed", "pruned", "prune-failed")

    @property
    def about_container(self) -> bool:
        return not self.about_image and not self.kind.startswith("relay-")


# Kind → what `details` has.
KINDS: Mapping[str, str] = {
    "launching": "",
    "launched": "seconds; and of them those of the stages provision, prepare, clone, isolate, fetch, execute",
    "launch-failed": "stage (one of those, pull, or launch before the first), seconds, message",
    "recovered": "",
    "limit-reached": "isolator, resource, message, limit, usage: of one that the container goes on within",
    "health": "healthy, passing, code, message, as far as its checks have said something",
    "ended": "exit_code, message; limitation if a limit ended it",
    "destroy-failed": "message, attempts",
    "updated": "limits: those of the container now",
    "removed": "",
    "collected": "",
    "collect-failed": "message",
    "pulled": "seconds",
    "pull-failed": "seconds, message",
    "pruned": "",
    "prune-failed": "message",
    "relay-failed": "tasks: how many it served; the subject is its number",
    "relay-replaced": "",
}
