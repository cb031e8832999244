"""Termination: how a container ended."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import Any

from isolators.resources import Limitation
from launcher.data import Data, asdict
from launcher.exit_status import ExitStatus


class Termination(Data, kw_only=True):
    """The exit status, and the limit that ended the container if one did."""

    exit_status: ExitStatus
    limitation: Limitation | None = None

    @property
    def exit_code(self) -> int:
        """The task's own, or 128 + N when it was killed by signal N.

        A limitation is never a success: the kernel may have killed another process than the task,
        which then ended by itself before we came to kill it.
        """
        if self.limitation and self.exit_status.exit_code == 0:
            return 128 + signal.SIGKILL
        return self.exit_status.exit_code

    @property
    def message(self) -> str:
        """One sentence for people."""
        if self.limitation:
            limitation = self.limitation
            return f"{limitation.resource} limitation by {limitation.isolator}: {limitation.message}"
        if self.exit_status.signal is not None:
            return f"killed by {_signal_name(self.exit_status.signal)}"
        return f"exited with {self.exit_status.code}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Termination:
        limitation = value.get("limitation")
        return cls(
            exit_status=ExitStatus(**value["exit_status"]),
            limitation=Limitation(**limitation) if limitation else None,
        )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal: they have no names of their own
        return f"signal {number}"
