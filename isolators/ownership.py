"""What the host has to give out, each thing to one container at a time, whichever process launches it.

A thing that is taken is a symbolic link: its name is the thing's, what it points to the container.
symlink(2) makes it whole and for one of two callers only, so it is lock and record in one. It stays
until the container is cleaned up, however its launcher ended; the directory is the whole host's, and
forgotten at a reboot like the containers are.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable

_ATTEMPTS = 100  # each is lost only to another container that ends just then


def held(directory: str, holder: str) -> list[str]:
    """What the holder has, in the order of names."""
    return sorted(name for name in _taken(directory) if holder_of(directory, name) == holder)


def holder_of(directory: str, name: str) -> str | None:
    try:
        return os.readlink(os.path.join(directory, name))
    except OSError:  # nobody, released by now, or no link of ours
        return None


def free(directory: str, names: Iterable[str], count: int) -> list[str]:
    """The first of the names that nobody has at this moment, `count` at most."""
    taken = _taken(directory)
    found: list[str] = []
    for name in names:
        if len(found) == count:
            break
        if name not in taken:
            found.append(name)
    return found


def take(directory: str, holder: str, names: Iterable[str], count: int) -> list[str] | None:
    """Give the first `count` of the names that are free to the holder, for it alone.

    None, and nothing, if fewer are.
    """
    before, mine = _taken(directory), list[str]()
    for name in names:
        if len(mine) == count:
            break
        if name not in before and _take(directory, name, holder):
            mine.append(name)
    if len(mine) == count:
        return mine
    _drop(directory, mine)
    return None


def release(directory: str, holder: str) -> None:
    """Let go of all that the holder has. Idempotent; leaves no empty directory."""
    _drop(directory, held(directory, holder))


def _drop(directory: str, names: Iterable[str]) -> None:
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(directory, name))
        with contextlib.suppress(OSError):  # others are there
            os.rmdir(directory)


def _take(directory: str, name: str, holder: str) -> bool:
    for _ in range(_ATTEMPTS):
        try:
            os.makedirs(directory, mode=0o700, exist_ok=True)
            os.symlink(holder, os.path.join(directory, name))
            return True
        except FileExistsError:
            return False
        except FileNotFoundError:  # the last holder has just removed the directory
            continue
    return False


def _taken(directory: str) -> set[str]:
    try:
        return set(os.listdir(directory))
    except FileNotFoundError:
        return set()
