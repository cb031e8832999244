"""Signals to a command in the foreground: they end a launch, and go on to the task once it runs."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_FORWARDED = (*_ENDING, signal.SIGUSR1, signal.SIGUSR2)
_PATIENCE = 3  # a task that is pid 1 ignores what it does not handle; then the third Ctrl-C kills it


class Interrupted(BaseException):
    """A signal came before the task ran. No Exception, as KeyboardInterrupt is none: it passes by
    whatever handles errors, and each step takes itself back.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(number).name} before the task ran")
        self.exit_code = 128 + number


class ForwardedSignals:
    """A context in which signals raise Interrupted; after `hold` they are kept for `forward_to`."""

    def __init__(self) -> None:
        self._kill: Callable[[int], None] | None = None
        self._held: list[int] | None = None
        self._previous: dict[int, Any] = {}
        self._asked = 0

    def __enter__(self) -> ForwardedSignals:
        self._previous = {number: signal.signal(number, self._handle) for number in _FORWARDED}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def hold(self) -> None:
        """From here on signals are meant for the task, which is about to run."""
        self._held = []

    def forward_to(self, kill: Callable[[int], None]) -> None:
        """The task runs: `kill` sends it the signals that come, and those that were held."""
        self._kill = kill
        for number in self._held or ():
            self._forward(kill, number)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self._kill is not None:
            self._forward(self._kill, number)
        elif self._held is not None:
            self._held.append(number)
        elif number in _ENDING:
            raise Interrupted(number)

    def _forward(self, kill: Callable[[int], None], number: int) -> None:
        self._asked += number in (signal.SIGINT, signal.SIGTERM)
        if self._asked == _PATIENCE:
            print(f"containerizer: asked {_PATIENCE} times to end: killing the container", file=sys.stderr)
            number = signal.SIGKILL
        kill(number)
