"""The stdio that a task has of the launcher: the supervisor passes it on, and keeps out of the way."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from launcher.exit_status import ExitStatus


class InheritedIO:
    """The interface of every mode's class, in the order in which the supervisor calls it."""

    def take_child_ends(self) -> Sequence[int]:
        """The task's ends of pipes, stdin first, now the caller's; -1 or nothing: the launcher's own."""
        return ()

    def terminal_opened(self, master: int) -> None:
        """The child has a terminal, and this is its master."""
        os.close(master)

    def serve(self, signal: Callable[[int], None]) -> None:
        """The task runs; `signal` sends one to it."""

    def drain(self) -> None:
        """Nothing of the task lives any more: read what it has left."""

    def end(self, status: ExitStatus | None) -> None:
        """All is recorded and told but to those who are attached. None: there was no task."""
