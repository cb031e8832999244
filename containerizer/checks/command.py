"""A command in the container as a check: a further command, as those of `exec` are."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from containerizer.checks.attempt import Attempt
from containerizer.checks.check import Command, Result
from containerizer.nested import ExecRequest
from launcher.container_id import ContainerId
from launcher.stdio import Inherit

if TYPE_CHECKING:
    from containerizer.containerizer import Containerizer


class CommandAttempt(Attempt):
    """Its output goes nowhere: a pipe that nobody reads would stop it, and a file could fill the disk."""

    def __init__(self, owner: Containerizer, container_id: ContainerId, check: Command) -> None:
        """Raises ContainerizerError: the container does not run, or has no such command."""
        request = ExecRequest(command=check.argv, environment=check.environment, user=check.user)
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            self._container = owner.execute(container_id, request, Inherit(null, null, null))
        finally:
            os.close(null)
        self._container.start()

    def fileno(self) -> int:
        assert self._container.task is not None
        return self._container.task.fileno()

    def result(self) -> Result:
        ended = self._container.wait()
        assert ended is not None
        return Result(success=ended.exit_code == 0, message=ended.message, code=ended.exit_code)

    def close(self) -> None:
        self._container.remove()
