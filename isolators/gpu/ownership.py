"""Which container has which GPU: each is one container's, whichever process launches it.

A GPU that is taken is a symbolic link: its name is the GPU's UUID, what it points to the container.
symlink(2) makes it for one of two callers only, so it is lock and record in one, and stays until the
container is cleaned up, however its launcher ended. The directory is the whole host's.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence

_ATTEMPTS = 100  # each is lost only to another container that ends just then


def held(directory: str, holder: str) -> list[str]:
    """What the holder has, in the order of names."""
    return sorted(name for name in _taken(directory) if holder_of(directory, name) == holder)


def holder_of(directory: str, name: str) -> str | None:
    try:
        return os.readlink(os.path.join(directory, name))
    except OSError:  # nobody, or released by now
        return None


def free(directory: str, names: Iterable[str]) -> list[str]:
    """Those of the names that nobody has at this moment."""
    taken = set(_taken(directory))
    return [name for name in names if name not in taken]


def take(directory: str, holder: str, candidates: Sequence[str], count: int) -> list[str] | None:
    """Give `count` of the candidates to the holder, for it alone; None, and nothing, if fewer are free."""
    taken: list[str] = []
    for name in candidates:
        if len(taken) == count:
            break
        if _take(directory, name, holder):
            taken.append(name)
    if len(taken) == count:
        return taken
    for name in taken:
        _drop(directory, name)
    return None


def release(directory: str, holder: str) -> None:
    """Let go of all that the holder has. Idempotent; leaves no empty directory."""
    for name in held(directory, holder):
        _drop(directory, name)


def _drop(directory: str, name: str) -> None:
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


def _taken(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []
