"""The file of a task's secret variables, which its supervisor keeps for the commands that come later.

It is in a ramfs that is attached nowhere (launcher/kernel/ramfs.py), and goes with the supervisor.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping

from launcher.kernel import pidfd, ramfs
from launcher.program.assembler import SECRETS

_LARGEST = 4 << 20  # bytes; argv and environment together are never larger: execve(2)


def make(environment: Mapping[str, str]) -> int:
    """Its descriptor. Raises OSError."""
    content = json.dumps(dict(environment)).encode()
    if len(content) > _LARGEST:
        raise OSError(errno.E2BIG, os.strerror(errno.E2BIG), "secrets")
    with ramfs.directory("secrets") as directory:
        return ramfs.write(directory, "secrets", content)


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
