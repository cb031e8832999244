"""The drivers of named volumes: who makes them and removes them.

Volumes of every driver are in one store (isolators.volume_store), so a name is one volume's; a driver other
than "local" keeps what is in its volumes by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from isolators.volumes import LOCAL
from launcher.errors import InvalidRequest


class Driver(Protocol):
    """Each method raises ContainerizerError."""

    def create(self, name: str, options: Mapping[str, str]) -> None:
        """Idempotent. Raises InvalidRequest for options that it does not take."""

    def remove(self, name: str) -> None:
        """Nobody uses it any more. Idempotent."""

    def mountpoint(self, name: str) -> str:
        """Where it is on the host; "" while it is mounted nowhere."""


def of(name: str) -> Driver | None:
    """The driver; None for our own, for which the store does all. Raises InvalidRequest."""
    if name == LOCAL:
        return None
    raise InvalidRequest(f"unknown volume driver {name!r}", hint=f"there is {LOCAL}")
