"""Stopping: a graceful end. The hook before it, the signal that asks, patience, and then SIGKILL.

The patience begins with the hook, as in Kubernetes: one that takes all of it leaves nothing for the task.
"""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING

from containerizer.checks.attempt import Attempt
from containerizer.checks.check import Command
from containerizer.checks.command import CommandAttempt
from containerizer.checks.runner import finished
from launcher.errors import ContainerizerError
from launcher.signal_names import parse_signal

if TYPE_CHECKING:
    from containerizer.container import Container
    from containerizer.containerizer import Containerizer


class Stopping:
    """Close it when the container has ended."""

    def __init__(
        self, owner: Containerizer, container: Container, hook: Command | None, grace: float, now: float
    ) -> None:
        self._container = container
        self._until: float | None = now + grace  # None: it was killed
        self._hook: Attempt | None = None
        if hook is not None and grace > 0:
            with contextlib.suppress(ContainerizerError, OSError):  # no such command: nothing to wait for
                self._hook = CommandAttempt(owner, container.id, hook)
        if self._hook is None:
            self._ask()

    def descriptors(self) -> list[int]:
        return [] if self._hook is None else [self._hook.fileno()]

    def timeout(self, now: float) -> float | None:
        """Seconds until `step` has something to do whatever is polled."""
        return None if self._until is None else max(0.0, self._until - now)

    def hurry(self, now: float) -> None:
        """No more patience."""
        if self._until is not None:
            self._until = min(self._until, now)

    def step(self, now: float) -> None:
        if self._until is not None and now >= self._until:
            self._until = None
            self.close()
            self._container.kill(signal.SIGKILL)
        elif self._hook is not None and finished(self._hook) is not None:
            self.close()
            self._ask()

    def close(self) -> None:
        if self._hook is not None:
            self._hook.close()
            self._hook = None

    def _ask(self) -> None:
        self._container.kill(parse_signal(self._container.record.stop_signal or "SIGTERM"))
