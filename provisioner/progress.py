"""Progress: what a pull tells its caller about each layer, for a bar or a line of JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

Phase = Literal["waiting", "downloading", "unpacking", "verifying", "exists", "done"]


class Progress(Protocol):
    """Called at every change of a layer, from several threads, two layers at once included.

    `layer` is the digest of the compressed blob as the manifest names it. `done` and `total` are
    bytes of that blob. A layer's last phase is "exists" (it was in the store) or "done".
    An exception raised here ends the pull.
    """

    def __call__(self, layer: str, phase: Phase, done: int, total: int) -> None: ...


def note_of(progress: Progress) -> Callable[[str], None]:
    """Its method `note`, for sentences about trouble that may pass; one that does nothing if it has none."""
    note: Callable[[str], None] = getattr(progress, "note", lambda text: None)
    return note


def silent(layer: str, phase: Phase, done: int, total: int) -> None:
    """The Progress of a caller that does not want to know."""
