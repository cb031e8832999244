"""The file of a task's secret variables, which its supervisor keeps for the commands that come later.

It is in a ramfs (no disk, no swap: Documentation/filesystems/ramfs-rootfs-initramfs.rst) that is attached
nowhere: no path leads there, no mount namespace shows it, and it goes with the supervisor.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping

from launcher.kernel import mounts, pidfd
from launcher.program.assembler import SECRETS

_FLAGS = ("nosuid", "nodev", "noexec")
_LARGEST = 4 << 20  # bytes; argv and environment together are never larger: execve(2)


def make(environment: Mapping[str, str]) -> int:
    """Its descriptor. Raises OSError."""
    content = json.dumps(dict(environment)).encode()
    if len(content) > _LARGEST:
        raise OSError(errno.E2BIG, os.strerror(errno.E2BIG), "secrets")
    tree = mounts.new_filesystem("ramfs", "secrets", _FLAGS, (("mode", "700"),))
    try:
        file = os.open("secrets", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=tree)
    finally:
        os.close(tree)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(file, rest) :]
    except OSError:
        os.close(file)
        raise
    return file


def read(supervisor: int) -> dict[str, str]:
    """What the supervisor, a pidfd, keeps. Raises OSError, and ValueError if that is something else."""
    file = pidfd.descriptor_of(supervisor, SECRETS)
    try:
        value = json.loads(os.pread(file, _LARGEST, 0))
    finally:
        os.close(file)
    if not isinstance(value, dict):
        raise ValueError("no secrets")
    return value
