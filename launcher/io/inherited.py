"""The stdio that a task has of the launcher: the supervisor passes it on, and keeps out of the way."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from launcher.exit_status import ExitStatus


class InheritedIO:
    """The interface of every mode's class, in the order in which the supervisor calls it."""

    def __init__(self, descriptors: Sequence[int]) -> None:
        stdin, stdout, stderr = descriptors
        self.descriptors = (stdin, stdout, stderr)  # for the child

    def child_made(self) -> None:
        """The task's end of a pipe must be its own: a copy here would keep the reader waiting."""
        for descriptor in set(self.descriptors):
            os.close(descriptor)

    def terminal_opened(self, master: int) -> None:
        """The child has a terminal, and this is its master."""
        os.close(master)

    def serve(self, signal: Callable[[int], None]) -> None:
        """The task runs; `signal` sends one to it."""

    def drain(self) -> None:
        """Nothing of the task lives any more: read what it has left."""

    def end(self, status: ExitStatus | None) -> None:
        """All is recorded and told but to those who are attached. None: there was no task."""
