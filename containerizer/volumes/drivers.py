"""The drivers of named volumes: who makes them and removes them.

Volumes of every driver are in one store (isolators.volume_store), so a name is one volume's; a driver other
than "local" keeps what is in its volumes by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from isolators.docker.plugins import PluginFailed
from isolators.flags import IsolatorFlags
from isolators.volumes import LOCAL

if TYPE_CHECKING:
    from isolators.docker.volume_driver import VolumeDriver


class PluginDriver:
    """One of Docker's plug-ins, found again for each call: isolators.docker.volume_driver.

    Each method raises ContainerizerError.
    """

    def __init__(self, name: str, flags: IsolatorFlags) -> None:
        self._name = name
        self._flags = flags

    def create(self, name: str, options: Mapping[str, str]) -> None:
        """Idempotent. Raises InvalidRequest for options that it does not take."""
        self._found().ensure(name, options)

    def remove(self, name: str) -> None:
        """Nobody uses it any more. What it has lost already is no failure."""
        driver = self._found()
        try:
            driver.remove(name)
        except PluginFailed:
            if driver.get(name) is not None:
                raise

    def mountpoint(self, name: str) -> str:
        """Where it is on the host; "" while it is mounted nowhere.

        By what we know: whoever lists volumes is to wait for no plug-in.
        """
        from isolators.docker.volume import mountpoint

        return mountpoint(self._flags, self._name, name)

    def _found(self) -> VolumeDriver:
        from isolators.docker import volume_driver  # HTTP, for those who have plug-ins

        return volume_driver.find(self._name, self._flags)


def of(name: str, flags: IsolatorFlags) -> PluginDriver | None:
    """The driver; None for our own, for which the store does all."""
    return None if name == LOCAL else PluginDriver(name, flags)
