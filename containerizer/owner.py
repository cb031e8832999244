"""What the parts of a containerizer need of it. Containerizer is all of this; they know no more of it.

For type checkers only: so the parts can be read, and tested, without that.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol, TypeVar

from containerizer.paths import Paths
from containerizer.record import ContainerRecord
from isolators.isolator import Isolator
from isolators.resources import Usage
from launcher.container_id import ContainerId

if TYPE_CHECKING:
    from containerizer.fetcher.options import FetchOptions
    from launcher.attach import Attachment

C = TypeVar("C", contravariant=True)


class Owner(Protocol):
    """Of containers, whoever has launched them."""

    paths: Paths
    fetch_options: FetchOptions | None

    def isolators_of(self, record: ContainerRecord) -> list[Isolator]:
        """Those at work for it."""

    def isolators_loaded_for(self, record: ContainerRecord) -> list[Isolator]:
        """Those that have to clean up after it."""

    def delete(self, container_id: ContainerId, *, volumes: bool = True) -> None:
        """Its files, and those of all in it; `volumes`: and its anonymous volumes."""


class Launching(Owner, Protocol[C]):
    """Of containers that it has launched itself; C is what it holds them by."""

    @property
    def isolators(self) -> Sequence[Isolator]:
        """Those that it loads."""

    def attach(self, container_id: ContainerId) -> Attachment:
        """Connect to its stdio."""

    def usage(self, container: C) -> Usage:
        """What it consumes."""

    def abandoning(self, container: C) -> AbstractContextManager[None]:
        """Take its launch back if what is done within fails."""

    def give_up(self, container: C) -> None:
        """Take back the launch of one that does not run yet."""

    def resume(self, container: C) -> None:
        """Let it go on if it is paused."""

    def end(self, container: C) -> None:
        """Kill everything in it, and wait until it has ended."""

    def terminated(self, container: C) -> None:
        """Its task has ended: take everything back."""

    def forget(self, container: C) -> None:
        """Delete what is left of it."""

    def release(self, container: C) -> None:
        """Leave it alone when this one closes."""
