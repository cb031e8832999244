"""Directories that a layer uses without describing them take after the layer below.

overlayfs shows a merged directory with the attributes of its topmost layer. An archive that holds
`var/lib/app/data` without `var/lib/` would so give /var/lib the mode that we happened to make it
with. This runs once the layers below are there: a layer can be unpacked before that.
"""

from __future__ import annotations

import enum
import errno
import functools
import os
from collections.abc import Iterable, Sequence

from launcher.kernel.safe_path import open_beneath
from provisioner.layer import attributes

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def inherit(layer: str, implicit: Iterable[bytes], lowers: Sequence[str]) -> None:
    """Copy mode, owner, mtime and xattrs from `lowers`, the topmost first, where they have any.

    `implicit` are paths in the layer, "" its root. What the lower layers lack keeps 0755 and root.
    """
    for path in sorted(implicit):
        state = _state(layer, path)
        if state is _State.ABSENT or state is _State.HIDDEN:  # a later entry took its place
            continue
        source = None if state is _State.OPAQUE else _topmost(lowers, path)
        if source is not None:
            _copy(source, _open(layer, path))


class _State(enum.Enum):
    """What a layer has at a path, as far as overlayfs merges directories."""

    PLAIN = 0  # a directory, merged with those below
    OPAQUE = 1  # a directory that hides those below, or that is in such a one
    HIDDEN = 2  # no directory, and none below shows
    ABSENT = 3


def _topmost(lowers: Sequence[str], path: bytes) -> int | None:
    """The directory that overlayfs would show at `path`."""
    for lower in lowers:
        state = _state(lower, path)
        if state is _State.HIDDEN:
            return None
        if state is not _State.ABSENT:
            return _open(lower, path)
    return None


@functools.lru_cache(maxsize=1 << 14)  # a layer never changes, and fifty that lie on it ask the same
def _state(layer: str, path: bytes) -> _State:
    if not path:
        return _State.PLAIN
    above = _state(layer, path.rpartition(b"/")[0])
    if above is _State.ABSENT or above is _State.HIDDEN:
        return above
    try:
        fd = _open(layer, path)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return _State.HIDDEN if above is _State.OPAQUE else _State.ABSENT
        if error.errno in (errno.ENOTDIR, errno.ELOOP):  # a whiteout, a file or a link
            return _State.HIDDEN
        raise
    try:
        return _State.OPAQUE if above is _State.OPAQUE or attributes.is_opaque(fd) else _State.PLAIN
    finally:
        os.close(fd)


def _open(layer: str, path: bytes) -> int:
    root = os.open(layer, _DIRECTORY)
    try:
        return open_beneath(root, path or b".", _DIRECTORY, follow_symlinks=False)
    finally:
        os.close(root)


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
