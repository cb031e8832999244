from __future__ import annotations

import asyncio
import logging

import pytest

from containerizer.api.errors import BadRequest
from containerizer.api.logging_level import LoggingLevel


class Told(logging.Logger):
    """Tells when its level was set."""

    def __init__(self) -> None:
        super().__init__("told", logging.WARNING)
        self.levels: asyncio.Queue[int | str] = asyncio.Queue()

    def setLevel(self, level: int | str) -> None:  # noqa: N802 - logging's name
        super().setLevel(level)
        if hasattr(self, "levels"):
            self.levels.put_nowait(level)


def test_it_reverts_by_itself() -> None:
    async def scenario() -> None:
        logger = Told()
        toggled = LoggingLevel(logger)
        toggled.toggle(2, 0.01)
        assert (toggled.level, logger.level) == (2, logging.DEBUG)
        while await asyncio.wait_for(logger.levels.get(), 30) != logging.WARNING or not logger.levels.empty():
            pass
        while toggled.level:
            await asyncio.wait_for(logger.levels.get(), 30)
        assert logger.level == logging.WARNING

    asyncio.run(scenario())


def test_a_later_call_replaces_an_earlier_one() -> None:
    async def scenario() -> None:
        logger = Told()
        toggled = LoggingLevel(logger)
        toggled.toggle(1, 3600)
        toggled.toggle(3, 3600)
        assert toggled.level == 3
        toggled.toggle(0, 0)
        assert (toggled.level, logger.level) == (0, logging.WARNING)

    asyncio.run(scenario())


@pytest.mark.parametrize(("level", "duration"), [(1 << 31, 1), (1, -1)])
def test_levels_that_are_none(level: int, duration: float) -> None:
    with pytest.raises(BadRequest):
        LoggingLevel(Told()).toggle(level, duration)
