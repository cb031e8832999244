"""What a directory takes on the disk. A task has filled it, and may go on while we look."""

from __future__ import annotations

import os
import stat

_BLOCK = 512  # bytes: the unit of st_blocks, stat(2)


def of(directory: str, enough: int) -> int:
    """Bytes, each file once; or some number above `enough` as soon as it is clear that it is more.

    Depth costs neither stack nor descriptors. What is gone by the time that we look counts nothing.
    """
    total, linked = 0, set[tuple[int, int]]()
    pending = [directory]
    while pending and total <= enough:
        for status, path in _listed(pending.pop()):
            if stat.S_ISDIR(status.st_mode):
                pending.append(path)
            elif status.st_nlink > 1:
                if (status.st_dev, status.st_ino) in linked:
                    continue
                linked.add((status.st_dev, status.st_ino))
            total += status.st_blocks * _BLOCK
    return total


def _listed(directory: str) -> list[tuple[os.stat_result, str]]:
    try:
        with os.scandir(directory) as entries:
            return [(entry.stat(follow_symlinks=False), entry.path) for entry in entries]
    except OSError:  # gone, or too deep for a path
        return []
