"""Whiteouts that hide nothing are removed, when the layers below are there.

Theory: overlayfs leaves whiteouts out of the listing of a directory that it merges, and lists them where
a directory is in one layer only, or opaque: there `ls` would show a name that no one can open. In such a
directory a whiteout hides nothing, so without it the image is the same.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from provisioner.layer.stack import State, is_whiteout, open_directory, shows, state_of


def remove_idle(layer: str, whiteouts: Iterable[bytes], lowers: Sequence[str]) -> None:
    """`whiteouts` are paths of what they hide in the layer; `lowers` those below, the topmost first.

    Raises OSError.
    """
    for path in whiteouts:
        parent, _, name = path.rpartition(b"/")
        state = state_of(layer, parent)
        if state is State.OPAQUE or (state is State.PLAIN and not shows(lowers, parent, name)):
            _remove(layer, parent, name)


def _remove(layer: str, parent: bytes, name: bytes) -> None:
    """And leave the directory the time that the image gave it."""
    fd = open_directory(layer, parent)
    try:
        status = os.fstat(fd)
        if is_whiteout(os.stat(name, dir_fd=fd, follow_symlinks=False)):
            os.unlink(name, dir_fd=fd)
            os.utime(fd, ns=(status.st_atime_ns, status.st_mtime_ns))
    except FileNotFoundError:  # a later entry took the place of its directory
        pass
    finally:
        os.close(fd)
