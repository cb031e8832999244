"""Files in a ramfs that is attached nowhere: on no disk, in no swap, in no mount namespace, at no path.

Documentation/filesystems/ramfs-rootfs-initramfs.rst. It goes with the last descriptor of a file in it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from launcher.kernel import mounts

_FLAGS = ("nosuid", "nodev", "noexec")
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@contextlib.contextmanager
def directory(name: str) -> Iterator[int]:
    """The top of a new one, which only its owner may enter. Raises OSError."""
    descriptor = mounts.new_filesystem("ramfs", name, _FLAGS, (("mode", "700"),))
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def write(within: int, name: str, content: bytes) -> int:
    """A descriptor of a new file with this content, of its owner's only. Raises OSError."""
    descriptor = os.open(name, _CREATE, 0o600, dir_fd=within)
    try:
        left = memoryview(content)
        while left:
            left = left[os.write(descriptor, left) :]
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
