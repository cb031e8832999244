"""ExitStatus: how a task ended, as wait(2) tells it."""

from __future__ import annotations

import os

from launcher.data import Data


class ExitStatus(Data):
    """Exactly one of the two is set: the exit code (0–255), or the signal that killed the task."""

    code: int | None = None
    signal: int | None = None

    @classmethod
    def from_wait(cls, status: int) -> ExitStatus:
        """From the status word of waitpid(2)."""
        if os.WIFSIGNALED(status):
            return cls(signal=os.WTERMSIG(status))
        return cls(code=os.WEXITSTATUS(status))

    @property
    def exit_code(self) -> int:
        """The shell's convention: the code itself, or 128 + N when killed by signal N."""
        return 128 + self.signal if self.signal is not None else self.code or 0
