"""Which boot of the host this is: pids, and what lies in the kernel's memory, are of one only."""

from __future__ import annotations

import functools

from launcher.kernel import files

_BOOT_ID = "/proc/sys/kernel/random/boot_id"  # random(4)


@functools.cache
def boot_id() -> str:
    """Another one after each boot."""
    return files.read(_BOOT_ID, 64).decode().strip()
