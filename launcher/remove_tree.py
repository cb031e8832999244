"""Remove a tree that an image or a task has filled: no link is followed, no depth is too deep.

The standard library's rmtree recurses a level a directory, so a task could make a tree that it
cannot remove. Here directories are moved up to the top and removed one by one: neither the stack
nor the descriptors grow with the depth.
"""

from __future__ import annotations

import contextlib
import os
import stat

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(path: str) -> None:
    """Remove a file, or a directory with all that is in it; fine when it is gone already.

    Several processes may do so at once. Nothing may be mounted below, and nobody may still write
    there. Raises OSError.
    """
    try:
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            os.unlink(path)
            return
        fd = os.open(path, _DIRECTORY)
    except FileNotFoundError:
        return
    try:
        _empty(fd)
    finally:
        os.close(fd)
    with contextlib.suppress(FileNotFoundError):
        os.rmdir(path)


def _empty(top_fd: int) -> None:
    pending = _clear(top_fd, top_fd)
    while pending:
        name = pending.pop()
        try:
            fd = os.open(name, _DIRECTORY, dir_fd=top_fd)
        except FileNotFoundError:
            continue
        try:
            pending += _clear(fd, top_fd)
        finally:
            os.close(fd)
        with contextlib.suppress(FileNotFoundError):
            os.rmdir(name, dir_fd=top_fd)


def _clear(fd: int, top_fd: int) -> list[str]:
    """Remove the files in `fd`, move its directories to the top; their names there."""
    moved = []
    with os.scandir(fd) as entries:
        children = list(entries)
    for child in children:
        with contextlib.suppress(FileNotFoundError):
            if not child.is_dir(follow_symlinks=False):
                os.unlink(child.name, dir_fd=fd)
                continue
            name = f"removed-{os.urandom(8).hex()}"
            os.rename(child.name, name, src_dir_fd=fd, dst_dir_fd=top_fd)
            moved.append(name)
    return moved
