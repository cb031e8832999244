"""The containerizers of a lane: with the agent's isolators, and with those that a request needs besides.

As on the command line: where nobody has named isolators, what few ask for (catalog.ON_DEMAND) is loaded
for who does, and costs nobody else a step of his launch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from containerizer.containerizer import Containerizer
from isolators import catalog
from isolators.isolator import ContainerConfig

Make = Callable[[Sequence[str] | None], Containerizer]


class Owners:
    """Made when they are needed, and kept."""

    def __init__(self, make: Make, *, fixed: bool, launcher: str) -> None:
        """`make` takes names of isolators; None: the agent's. `fixed`: others are never loaded."""
        self.default = make(None)
        self._make = make
        self._fixed = fixed
        self._launcher = launcher
        self._others: dict[tuple[str, ...], Containerizer] = {}

    def of(self, config: ContainerConfig) -> Containerizer:
        """Raises IsolatorUnavailable."""
        if self._fixed or not catalog.on_demand(config, self._launcher):
            return self.default
        names = catalog.default_for(config, self._launcher)
        if names not in self._others:
            self._others[names] = self._make(names)
        return self._others[names]

    def close(self) -> None:
        for owner in (*self._others.values(), self.default):
            owner.close()
