"""Remove a tree that an image or a task has filled: no link is followed, no depth is too deep.

The standard library's rmtree recurses a level a directory, so a task could make a tree that it
cannot remove. Here directories are moved up to the top and removed one by one: neither the stack
nor the descriptors grow with the depth.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PASSES = 1000  # over what is there; one does if nobody else is at it


def remove_tree(path: str) -> None:
    """Remove a file, or a directory with all that is in it; fine when it is gone already.

    Several processes may do so at once, and who still writes there may do so a little longer.
    Nothing may be mounted below. Raises OSError.
    """
    try:
        with contextlib.suppress(NotADirectoryError):
            if _remove_directory(path):  # as of many nothing is left by then
                return
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            os.unlink(path)
            return
        fd = os.open(path, _DIRECTORY)
    except FileNotFoundError:
        return
    try:
        for _ in range(_PASSES):
            _empty(fd)
            if _remove_directory(path):
                return
    finally:
        os.close(fd)
    os.rmdir(path)


def _remove_directory(path: str, dir_fd: int | None = None) -> bool:
    """False where something is in it again: another process moved it there, or made it."""
    try:
        os.rmdir(path, dir_fd=dir_fd)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return False
    return True


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
        _remove_directory(name, top_fd)  # what is left is for the next pass


def _clear(fd: int, top_fd: int) -> list[str]:
    """Remove the files in `fd`, move its directories to the top; their names there.

    Those that are at the top stay as they are: another process may be about to look into them.
    """
    moved = []
    with os.scandir(fd) as entries:
        children = list(entries)
    for child in children:
        with contextlib.suppress(FileNotFoundError):
            if not child.is_dir(follow_symlinks=False):
                os.unlink(child.name, dir_fd=fd)
                continue
            if fd == top_fd:
                moved.append(child.name)
                continue
            name = f"removed-{os.urandom(8).hex()}"
            os.rename(child.name, name, src_dir_fd=fd, dst_dir_fd=top_fd)
            moved.append(name)
    return moved
