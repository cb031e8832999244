"""An engine on directories of its own, in an event loop of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from containerizer.agent.engine import Engine
from containerizer.agent.settings import EngineSettings

T = TypeVar("T")

TIMEOUT = 60  # seconds until a scenario counts as hung

Scenario = Callable[[Engine], Coroutine[Any, Any, T]]


class Agents:
    """Engines on one pair of directories, one after another."""

    def __init__(self, directory: Path) -> None:
        self.root = directory / "root"
        self.state = directory / "state"

    def settings(self, **changes: Any) -> EngineSettings:
        return EngineSettings(
            **{"root": str(self.root), "state": str(self.state), "retry_first": 0.05, **changes}
        )

    def run(self, scenario: Scenario[T], **changes: Any) -> T:
        """An engine from its start to its close, and what the scenario does with it."""

        async def go() -> T:
            engine = Engine(self.settings(**changes))
            await engine.start()
            try:
                return await scenario(engine)
            finally:
                await engine.close()

        return asyncio.run(asyncio.wait_for(go(), TIMEOUT))

    def remove_all(self) -> None:
        async def remove(engine: Engine) -> None:
            for record in await engine.containers():
                if record.id.parent is None:
                    await engine.remove(record.id, force=True)

        self.run(remove)


@pytest.fixture
def agents(tmp_path: Path) -> Iterator[Agents]:
    agents = Agents(tmp_path)
    yield agents
    agents.remove_all()
