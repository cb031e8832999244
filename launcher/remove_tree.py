"""Remove a directory tree that a task has filled: no link is followed, no depth is too deep.

The standard library's rmtree recurses a level a directory, so a task could make a tree that it
cannot remove. Here, what lies too deep is moved up to the top and removed from there.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

_MAX_DEPTH = 64  # each level holds a descriptor and a stack frame

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(path: str) -> None:
    """Remove the directory at `path` and everything below; a missing one is fine. Raises OSError.

    Nothing may be mounted below, and nobody may still write there.
    """
    try:
        top = os.open(path, _OPEN)
    except FileNotFoundError:
        return
    try:
        names = (f".too-deep-{number}" for number in itertools.count())
        while _empty(top, top, names, depth=0):
            pass  # what was moved up is new in `top`
    finally:
        os.close(top)
    os.rmdir(path)


def _empty(directory: int, top: int, names: Iterator[str], *, depth: int) -> bool:
    """Remove what `directory` holds; whether something was moved up to `top` instead."""
    moved = False
    with os.scandir(directory) as entries:
        listed = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_directory in listed:
        if not is_directory:
            os.unlink(name, dir_fd=directory)
        elif depth == _MAX_DEPTH:
            os.rename(name, next(names), src_dir_fd=directory, dst_dir_fd=top)
            moved = True
        else:
            child = os.open(name, _OPEN, dir_fd=directory)
            try:
                moved |= _empty(child, top, names, depth=depth + 1)
            finally:
                os.close(child)
            os.rmdir(name, dir_fd=directory)
    return moved
