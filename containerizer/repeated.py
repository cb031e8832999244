"""Who launches the same task again and again asks for it in the same words: they are read once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from containerizer.request import ContainerRequest
from launcher.container_id import ContainerId
from launcher.data import replace

_PLAIN = frozenset({str, int, float, bool, type(None)})  # what cannot change behind our back


class Repeated:
    """Requests in the words of ContainerRequest.of. Those that are alike share one configuration."""

    def __init__(self) -> None:
        self._last: tuple[object, ContainerRequest] | None = None

    def of(self, image: str, command: Sequence[str], options: dict[str, Any]) -> ContainerRequest:
        """Raises InvalidRequest."""
        told = _told(image, command, options)
        if told is not None and self._last is not None and self._last[0] == told:
            return replace(self._last[1], container_id=ContainerId.generate())
        request = ContainerRequest.of(image, command, **options)
        if told is not None:
            self._last = told, request
        return request


def _told(image: str, command: Sequence[str], options: dict[str, Any]) -> object | None:
    """All of it, as what is equal only to the same; None for what may change, or is of one container."""
    kinds = [type(value) for value in options.values()]
    if "name" in options or type(command) not in (list, tuple) or not _PLAIN.issuperset(kinds):
        return None
    return image, (*command,), options, kinds
