"""What the handlers of calls need of the agent around them."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from containerizer.api.checking import Checker
from containerizer.api.files import VirtualFiles
from containerizer.api.logging_level import LoggingLevel
from containerizer.api.recordio import MAX_RECORD
from launcher.container_id import ContainerId

if TYPE_CHECKING:
    from containerizer.agent.engine import Engine

HEARTBEAT = 30.0  # seconds between two signs of life in a stream, as the predecessor's default

PATIENCE = 60.0  # seconds for a client to send a call, and to take a record of a stream

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
        hostname: str | None = None,
        port: int = 5051,
        heartbeat: float = HEARTBEAT,
        patience: float = PATIENCE,
        max_request: int = MAX_RECORD,
    ) -> None:
        """`flags`: as the agent was started. `metrics`: names and values now, for GET_METRICS."""
        self.engine = engine
        self.flags = dict(flags or {})
        self.metrics = metrics or _no_metrics
        self.files = files or VirtualFiles(engine.paths)
        self.logging = LoggingLevel()
        self.checker = Checker(engine)
        self.hostname = hostname or os.uname().nodename
        self.port = port
        self.heartbeat = heartbeat
        self.patience = patience
        self.max_request = max_request  # bytes of a call
        # Whether whoever has made the call may know of a container; None: of what is about none.
        self.visible: Callable[[ContainerId | None], bool] = lambda _: True
        self.writers: set[ContainerId] = set()  # containers that some client writes to

    def seen_by(self, visible: Callable[[ContainerId | None], bool]) -> Context:
        """The same, for a call of somebody who may know of these containers only."""
        seen = object.__new__(Context)
        seen.__dict__.update(self.__dict__, visible=visible)
        return seen


async def _no_metrics() -> Mapping[str, float]:
    return {}
