"""The stdio that a task has of the launcher: the supervisor passes it on, and keeps out of the way."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from launcher.exit_status import ExitStatus


class InheritedIO:
    """The interface of every mode's class, in the order in which the supervisor calls it."""

    descriptors: Sequence[int] = ()  # our own
    child_ends: Sequence[int] = ()  # of pipes, stdin first; -1 or nothing: what the launcher has given

    def close_child_ends(self) -> None:
        """The child has its own by now."""
        for descriptor in self.child_ends:
            if descriptor >= 0:
                os.close(descriptor)

    def terminal_opened(self, master: int, slave: int) -> None:
        """The child has this terminal."""
        os.close(master)
        os.close(slave)

    def serve(self, signal: Callable[[int], None]) -> None:
        """The task runs; `signal` sends one to it."""

    def drain(self) -> None:
        """Nothing of the task lives any more: read what it has left."""

    def end(self, status: ExitStatus | None) -> None:
        """All is recorded and told but to those who are attached. None: there was no task."""
