"""Supervisors whose children are engines, even where there can be machines: launcher/program/engine.py."""

from __future__ import annotations

from launcher import supervisor
from launcher.supervision import Main


def prepare(*, settled: bool) -> Main:
    """As launcher.supervisor.prepare."""
    return supervisor.prepare(settled=settled, force_engine=True)
