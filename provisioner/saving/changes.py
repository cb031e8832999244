"""What a container has changed of its image, path by path: what `diff` lists."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from launcher.data import Data
from provisioner.layer.read_layer import LayerReader
from provisioner.layer.stack import shows

ADDED, CHANGED, DELETED = "A", "C", "D"  # docker's letters

_WHITEOUT = b".wh."
_OPAQUE = b".wh..wh..opq"


class Change(Data, kw_only=True):
    """One path; it is absolute in the container."""

    kind: str  # ADDED, CHANGED or DELETED
    path: str


def changes_in(upper: str, lowers: Sequence[str]) -> Iterator[Change]:
    """Of the writable layer `upper` on the layers `lowers`, the topmost first; in the order of a walk.

    A directory whose content was replaced is CHANGED. Raises StoreError, OSError.
    """
    for entry, _ in LayerReader(upper):
        directory, _, name = entry.unsafe_name.strip(b"/").rpartition(b"/")
        if not name or name == _OPAQUE:  # the root itself; what the entry of the directory has told
            continue
        kind = CHANGED if shows(lowers, directory, name) else ADDED
        if name.startswith(_WHITEOUT):
            kind, name = DELETED, name.removeprefix(_WHITEOUT)
        yield Change(
            kind=kind, path=os.fsdecode(b"/".join((b"", directory, name) if directory else (b"", name)))
        )
