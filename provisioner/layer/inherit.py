"""Directories that a layer uses without describing them take after the layer below.

overlayfs shows a merged directory with the attributes of its topmost layer. An archive that holds
`var/lib/app/data` without `var/lib/` would so give /var/lib the mode that we happened to make it
with. This runs once the layers below are there: a layer can be unpacked before that.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Sequence

from provisioner.layer import attributes

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def inherit(layer: str, implicit: Iterable[bytes], lowers: Sequence[str]) -> None:
    """Copy mode, owner, mtime and xattrs from `lowers`, the topmost first, where they have any.

    `implicit` are paths in the layer, "" its root. What the lower layers lack keeps 0755 and root.
    """
    for path in sorted(implicit):
        target, hides_lowers = _walk(layer, path)
        if target is None:
            continue
        try:
            source = None if hides_lowers else _topmost(lowers, path)
            if source is not None:
                _copy(source, target)
        finally:
            os.close(target)


def _topmost(lowers: Sequence[str], path: bytes) -> int | None:
    """The directory that overlayfs would show at `path`."""
    for lower in lowers:
        fd, hides_lowers = _walk(lower, path)
        if fd is not None or hides_lowers:
            return fd
    return None


def _walk(root: str, path: bytes) -> tuple[int | None, bool]:
    """The directory at `path`, and whether this layer hides it in those below."""
    fd = os.open(root, _DIRECTORY)
    opaque = False
    for name in filter(None, path.split(b"/")):
        try:
            child = os.open(name, _DIRECTORY, dir_fd=fd)
        except OSError as error:
            if error.errno == errno.ENOENT:
                return None, opaque
            if error.errno in (errno.ENOTDIR, errno.ELOOP):  # a whiteout, a file or a link
                return None, True
            raise
        finally:
            os.close(fd)
        fd = child
        opaque = opaque or attributes.is_opaque(fd)
    return fd, opaque


def _copy(source: int, target: int) -> None:
    """Closes `source`."""
    try:
        status = os.fstat(source)
        os.fchown(target, status.st_uid, status.st_gid)
        attributes.apply(target, attributes.of(source))
        os.fchmod(target, status.st_mode & 0o7777)
        os.utime(target, ns=(status.st_mtime_ns, status.st_mtime_ns))
    finally:
        os.close(source)
