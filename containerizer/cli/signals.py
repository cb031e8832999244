"""Signals to a command in the foreground: they end a launch, and go on to the task once it runs."""

from __future__ import annotations

import signal
import sys
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from launcher.errors import ContainerizerError

if TYPE_CHECKING:
    from containerizer.container import Container

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_FORWARDED = (*_ENDING, signal.SIGUSR1, signal.SIGUSR2)
_PATIENCE = 3  # a task that is pid 1 ignores what it does not handle; then the third Ctrl-C kills it


class Interrupted(ContainerizerError):
    """A signal came before the task ran; the launch was taken back."""

    def __init__(self, number: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(number).name}, nothing was left behind")
        self.exit_code = 128 + number


class ForwardedSignals:
    """A context in which signals raise Interrupted or, after `forward_to`, are sent to the task."""

    def __init__(self) -> None:
        self._container: Container | None = None
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

    def forward_to(self, container: Container) -> None:
        """From here on the container's task gets the signals."""
        self._container = container

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self._container is None:
            if number in _ENDING:
                raise Interrupted(number)
            return
        self._asked += number in (signal.SIGINT, signal.SIGTERM)
        if self._asked == _PATIENCE:
            print(f"containerizer: asked {_PATIENCE} times to end: killing the container", file=sys.stderr)
            number = signal.SIGKILL
        self._container.kill(number)
