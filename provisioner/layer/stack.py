"""What layers have at a path, as far as overlayfs merges directories; overlayfs(5).

The lowers are directories of layers, the topmost first. No link is followed: in a layer, what is
behind one belongs to another path.
"""

from __future__ import annotations

import enum
import errno
import functools
import os
import stat
from collections.abc import Sequence

from launcher.kernel.safe_path import open_beneath
from provisioner.layer import attributes

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class State(enum.Enum):
    """Of one layer at one path."""

    PLAIN = 0  # a directory, merged with those below
    OPAQUE = 1  # a directory that hides those below, or that is in such a one
    HIDDEN = 2  # no directory, and none below shows
    ABSENT = 3


@functools.lru_cache(maxsize=1 << 14)  # a layer never changes, and fifty that lie on it ask the same
def state_of(layer: str, path: bytes) -> State:
    """`path` is relative, "" the layer's root. Raises OSError."""
    if not path:
        return State.PLAIN
    above = state_of(layer, path.rpartition(b"/")[0])
    if above is State.ABSENT or above is State.HIDDEN:
        return above
    try:
        fd = open_directory(layer, path)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return State.HIDDEN if above is State.OPAQUE else State.ABSENT
        if error.errno in (errno.ENOTDIR, errno.ELOOP):  # a whiteout, a file or a link
            return State.HIDDEN
        raise
    try:
        return State.OPAQUE if above is State.OPAQUE or attributes.is_opaque(fd) else State.PLAIN
    finally:
        os.close(fd)


def open_directory(layer: str, path: bytes) -> int:
    """Raises OSError."""
    root = os.open(layer, _DIRECTORY)
    try:
        return open_beneath(root, path or b".", _DIRECTORY, follow_symlinks=False)
    finally:
        os.close(root)


def topmost(lowers: Sequence[str], path: bytes) -> int | None:
    """The directory that overlayfs would show at `path`, open. Raises OSError."""
    for lower in lowers:
        state = state_of(lower, path)
        if state is State.HIDDEN:
            return None
        if state is not State.ABSENT:
            return open_directory(lower, path)
    return None


def shows(lowers: Sequence[str], directory: bytes, name: bytes) -> bool:
    """Whether overlayfs would show anything of this name there. Raises OSError."""
    for lower in lowers:
        state = state_of(lower, directory)
        if state is State.HIDDEN:
            return False
        if state is State.ABSENT:
            continue
        fd = open_directory(lower, directory)
        try:
            return not is_whiteout(os.stat(name, dir_fd=fd, follow_symlinks=False))
        except FileNotFoundError:
            if state is State.OPAQUE:
                return False
        finally:
            os.close(fd)
    return False


def is_whiteout(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0
