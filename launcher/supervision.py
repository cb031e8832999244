"""What starts supervisors: a class for each kind of them, and the process that does it for them.

That is the fork server (launcher/forkserver.py), or the launcher's own. A module of supervisors has
its class under the name `Starter`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

Descriptors = Sequence[int]


class Starter(ABC):
    """Starts supervisors. What they all share is made once."""

    @abstractmethod
    def start(self, channel: int, body: bytes, descriptors: Descriptors) -> int:
        """Start one on a channel, for the body of a request, with descriptors. Returns its pid.

        All descriptors stay the caller's. Raises OSError.
        """

    @abstractmethod
    def close(self) -> None:
        """What was started runs on."""
