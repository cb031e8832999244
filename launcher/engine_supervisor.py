"""Start supervisors that are engines, even where there can be machines: launcher/program/engine.py."""

from __future__ import annotations

from launcher import machine_supervisor


class Starter(machine_supervisor.Starter):
    """Starts engines."""

    def __init__(self) -> None:
        """Raises OSError."""
        super().__init__(force_engine=True)
