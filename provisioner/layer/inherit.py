"""Directories that a layer uses without describing them take after the layer below.

overlayfs shows a merged directory with the attributes of its topmost layer. An archive that holds
`var/lib/app/data` without `var/lib/` would so give /var/lib the mode that we happened to make it
with. This runs once the layers below are there: a layer can be unpacked before that.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from provisioner.layer import attributes
from provisioner.layer.stack import State, open_directory, state_of, topmost


def inherit(layer: str, implicit: Iterable[bytes], lowers: Sequence[str]) -> None:
    """Copy mode, owner, mtime and xattrs from `lowers`, the topmost first, where they have any.

    `implicit` are paths in the layer, "" its root. What the lower layers lack keeps 0755 and root.
    """
    for path in sorted(implicit):
        state = state_of(layer, path)
        if state is State.ABSENT or state is State.HIDDEN:  # a later entry took its place
            continue
        source = None if state is State.OPAQUE else topmost(lowers, path)
        if source is not None:
            _copy(source, open_directory(layer, path))


def _copy(source: int, target: int) -> None:
    """Closes both."""
    try:
        status = os.fstat(source)
        os.fchown(target, status.st_uid, status.st_gid)
        attributes.apply(target, attributes.of(source))
        os.fchmod(target, status.st_mode & 0o7777)
        os.utime(target, ns=(status.st_mtime_ns, status.st_mtime_ns))
    finally:
        os.close(source)
        os.close(target)
