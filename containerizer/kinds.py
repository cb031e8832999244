"""Launches of one kind: alike but for the container's name, so what one takes is known before it comes.

Who runs the same task again and again asks for the same each time, and so does each isolator. The
second launch of a kind finds out what one for a placeholder, a name that nobody has, would take; from
then on the isolators only make what they make on the host, and the placeholder's name is replaced in
the rest, by the launcher too (launcher/template.py). It is a third of what a launch takes here.

Of a kind are equal requests for one image, by containers whose names are of one length: a launch
program has no room for a longer one. An isolator that overrides `prepare` is asked each time that it may
have something to do. Of what has secrets there is no kind.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any

from containerizer.nested import place
from isolators.isolator import ContainerConfig, Isolator, concerned
from launcher.container_id import ContainerId
from launcher.data import Data
from launcher.launch_info import LaunchInfo

if TYPE_CHECKING:
    from containerizer.request import ContainerRequest
    from launcher.base import LaunchRequest
    from provisioner.image import Image

_APART = frozenset({"container_id", "config", "resources", "attributes"})

_SHORTEST = 10  # hexadecimal digits; fewer might be in the program for another reason
_MOST = 32  # kinds; a program and an info of each


class Kind:
    """What all launches of it take."""

    def __init__(self, like: LaunchRequest) -> None:
        """`like`: the placeholder's."""
        from launcher.renaming import renaming  # who launches once needs none

        self.like = like
        self._info = renaming(like.info, like.container_id)
        self._place = place(like.info)

    def info(self, container_id: ContainerId) -> LaunchInfo:
        info: LaunchInfo = self._info(container_id.name) if self._info else self.like.info
        return info

    def place(self, container_id: ContainerId) -> str:
        """As `nested.place` of its info."""
        return self._place.replace(self.like.container_id, container_id.name)


class Kinds:
    """Those of one containerizer. Threads may share them: each dictionary operation is whole."""

    def __init__(self, isolators: Sequence[Isolator]) -> None:
        preparing = concerned(isolators, "prepare")
        self._repeatable = all(isolator.prepares_what_is_asked for isolator in preparing)
        self._prepared = frozenset[str]().union(*(isolator.enforces for isolator in preparing))
        self._known: dict[Hashable, Kind | None] = {}  # None: met once
        self._last: tuple[ContainerConfig, str] | None = None

    def find(
        self, request: ContainerRequest, image: Image | None, learn: Callable[[ContainerId], LaunchRequest]
    ) -> Kind | None:
        """Of a launch; None if it is the first of its kind, or has a kind of its own."""
        key = self._key(request, image)
        if key is None:
            return None
        kind = self._known.get(key)
        if kind is None and key in self._known:
            kind = self._known[key] = Kind(learn(_placeholder(len(request.container_id.name))))
        elif kind is None:
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[key] = None
        return kind

    def _key(self, request: ContainerRequest, image: Image | None) -> Hashable:
        length = len(request.container_id.name)
        own = request.fetch or request.config.volumes or request.debugs or request.config.namespaces
        own = own or request.config.secret_environment  # which nothing keeps here
        if own or not self._repeatable or length < _SHORTEST or request.container_id.parent is not None:
            return None
        if self._is_prepared(request):
            return None
        # All that is asked, but the name: as text, since some of it cannot be hashed.
        return length, image and image.digest, repr(_asked(request)), self._text(request.config)

    def _text(self, config: ContainerConfig) -> str:
        """Of all that it asks; the last one's is kept."""
        last = self._last
        if last is None or last[0] is not config:
            parts = [_asked(part) for part in (config, config.resources, config.attributes)]
            last = self._last = config, repr(parts)
        return last[1]

    def _is_prepared(self, request: ContainerRequest) -> bool:
        """Whether an isolator may find another thing than for a launch that is alike."""
        return bool(self._prepared) and not self._prepared.isdisjoint(request.config.asked())


def _placeholder(length: int) -> ContainerId:
    return ContainerId(os.urandom(length).hex()[:length])


def _asked(part: Data) -> dict[str, Any]:
    """What is not as by default."""
    defaults = part.__defaults__
    return {
        name: value
        for name, value in part.__dict__.items()
        if value is not defaults[name] and name not in _APART
    }
