"""What the handlers of calls need of the agent around them."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from containerizer.api.files import VirtualFiles
from containerizer.api.logging_level import LoggingLevel
from launcher.container_id import ContainerId

if TYPE_CHECKING:
    from containerizer.agent.engine import Engine

HEARTBEAT = 30.0  # seconds between two signs of life in a stream, as the predecessor's default

Metrics = Callable[[], Awaitable[Mapping[str, float]]]


class Context:
    """One for an agent; handlers share it."""

    def __init__(
        self,
        engine: Engine,
        *,
        flags: Mapping[str, str] | None = None,
        metrics: Metrics | None = None,
        files: VirtualFiles | None = None,
        port: int = 5051,
        heartbeat: float = HEARTBEAT,
    ) -> None:
        """`flags`: as the agent was started. `metrics`: names and values now, for GET_METRICS."""
        self.engine = engine
        self.flags = dict(flags or {})
        self.metrics = metrics or _no_metrics
        self.files = files or VirtualFiles(engine.paths)
        self.logging = LoggingLevel()
        self.hostname = os.uname().nodename
        self.port = port
        self.heartbeat = heartbeat
        self.writers: set[ContainerId] = set()  # containers that some client writes to


async def _no_metrics() -> Mapping[str, float]:
    return {}
