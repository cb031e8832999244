"""When a container of a pod is started again, and what a pod is: pure, as Kubernetes has it.

A container that ends is started again after 10 s, 20 s, 40 s … 5 min; when it has run for 10 minutes that
begins anew. See "Container restart policy" in the Kubernetes documentation.
"""

from __future__ import annotations

import enum

from launcher.data import Data, replace

ALWAYS, ON_FAILURE, NEVER = "Always", "OnFailure", "Never"
POLICIES = (ALWAYS, ON_FAILURE, NEVER)

_FIRST_PAUSE = 10.0  # seconds
_LONGEST_PAUSE = 300.0  # seconds
_LONG_RUN = 600.0  # seconds


class Phase(enum.Enum):
    """Where a pod is in its life; the value is what is shown."""

    PENDING = "Pending"  # its images are pulled, its init containers run
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"  # all have ended well, and none is started again
    FAILED = "Failed"  # all have ended, one of them not well


class Backoff(Data, kw_only=True):
    """How long to wait before the next start."""

    pause: float = 0.0  # seconds

    def after(self, ran: float) -> Backoff:
        """Following a run of so many seconds; its `pause` is to be waited before the next."""
        if not self.pause or ran >= _LONG_RUN:
            return replace(self, pause=_FIRST_PAUSE)
        return replace(self, pause=min(2 * self.pause, _LONGEST_PAUSE))


def restarts(policy: str, exit_code: int, *, init: bool = False) -> bool:
    """Whether a container that ended so is started again; an init container has done its work at 0."""
    if exit_code == 0 and init:
        return False
    return policy == ALWAYS or (policy == ON_FAILURE and exit_code != 0)
