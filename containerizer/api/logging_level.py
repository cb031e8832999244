"""The agent's logging level, raised by request and for a while."""

from __future__ import annotations

import asyncio
import logging

from containerizer.api.errors import BadRequest

_HIGHEST = 1 << 31


class LoggingLevel:
    """Level 0 is what the agent was started with; from 1 on it also logs what helps to debug."""

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self._logger = logger or logging.getLogger("containerizer")
        self._original = self._logger.level
        self._revert: asyncio.TimerHandle | None = None
        self.level = 0

    def toggle(self, level: int, duration: float) -> None:
        """Set the level for `duration` seconds, then set it back. A later call replaces this one.

        Raises BadRequest.
        """
        if level >= _HIGHEST or duration < 0:
            raise BadRequest(f"invalid logging level {level} for {duration:g} s")
        self.restore()
        self._set(level)
        if level:
            self._revert = asyncio.get_running_loop().call_later(duration, self.restore)

    def restore(self) -> None:
        """Set it back now. Idempotent."""
        if self._revert is not None:
            self._revert.cancel()
            self._revert = None
        self._set(0)

    def _set(self, level: int) -> None:
        self.level = level
        self._logger.setLevel(logging.DEBUG if level else self._original)
