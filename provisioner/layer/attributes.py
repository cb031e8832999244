"""Which extended attributes an image may set, and how they get onto a file."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping

from provisioner.layer.stream import MalformedContent

OPAQUE = "trusted.overlay.opaque"  # Documentation/filesystems/overlayfs.rst
ROOTLESS_OPAQUE = "user.overlay.opaque"  # where only privileged users may set the other: "userxattr"

# The rest of security.* (labels, integrity) and all of trusted.* are the host's to give. An image
# that could set trusted.overlay.redirect would show the task directories that it does not own.
_ALLOWED = ("user.", "security.capability", "system.posix_acl_access", "system.posix_acl_default")
_REFUSED = ("user.overlay.",)


def apply(fd: int, xattrs: Mapping[str, bytes], *, lenient: bool = False) -> list[str]:
    """Set those that an image may set. `lenient`: the names of those that it takes root to set.

    Raises MalformedContent for a value the kernel refuses.
    """
    allowed = [name for name in xattrs if name.startswith(_ALLOWED) and not name.startswith(_REFUSED)]
    return [name for name in allowed if not _set(fd, name, xattrs[name], lenient)]


def of(fd: int) -> dict[str, bytes]:
    """Those that `apply` would set on another file."""
    names = [name for name in os.listxattr(fd) if name.startswith(_ALLOWED)]
    return {name: os.getxattr(fd, name) for name in names}


def make_opaque(fd: int) -> None:
    """Let the directory hide what the layers below have under its name."""
    try:
        os.setxattr(fd, OPAQUE, b"y")
    except PermissionError:
        os.setxattr(fd, ROOTLESS_OPAQUE, b"y")


def is_opaque(fd: int) -> bool:
    names = {OPAQUE, ROOTLESS_OPAQUE}.intersection(os.listxattr(fd))
    return any(os.getxattr(fd, name) == b"y" for name in names)


def _set(fd: int, name: str, value: bytes, lenient: bool) -> bool:
    try:
        os.setxattr(fd, name, value)
    except (OSError, ValueError) as error:
        code = getattr(error, "errno", errno.EINVAL)
        if code == errno.EPERM and lenient:
            return False
        # tmpfs and others without user.*: Docker goes on too. A lost capability would be a bug.
        if code == errno.ENOTSUP and not name.startswith("security."):
            return True
        if code in (errno.EINVAL, errno.E2BIG, errno.ERANGE, errno.ENOSPC):
            raise MalformedContent(f"extended attribute {name!r}: {error}") from error
        raise
    return True
