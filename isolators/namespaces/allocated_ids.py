"""Ranges of the host's ids, each given to one container at a time, whichever process launches it.

A range that is taken is a symbolic link: its name is the range's number, what it points to the
container. symlink(2) makes it whole and for one of two callers only, so it is lock and record in
one. It stays until the container is cleaned up, however its launcher ended; the directory is the
whole host's, and forgotten at a reboot like the containers are.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable

_ATTEMPTS = 100  # each is lost only to another container that ends just then


def held(directory: str, holder: str) -> int | None:
    """The number that the holder has; None if it has none."""
    return next((number for number in _taken(directory) if _holder(directory, number) == holder), None)


def first_free(directory: str, candidates: Iterable[int]) -> int | None:
    """The first of the candidates that nobody has at this moment."""
    taken = set(_taken(directory))
    return next((number for number in candidates if number not in taken), None)


def take(directory: str, holder: str, candidates: Iterable[int]) -> int | None:
    """Give the first free candidate to the holder, for it alone; None if all are taken."""
    for _ in range(_ATTEMPTS):  # while we looked, what was taken may have become free
        taken = set(_taken(directory))
        for number in candidates:
            if number not in taken and _take(directory, number, holder):
                return number
    return None


def release(directory: str, holder: str) -> None:
    """Let go of what the holder has. Idempotent; leaves no empty directory."""
    number = held(directory, holder)
    if number is None:
        return
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_link(directory, number))
    with contextlib.suppress(OSError):  # others are there
        os.rmdir(directory)


def _take(directory: str, number: int, holder: str) -> bool:
    for _ in range(_ATTEMPTS):
        try:
            os.makedirs(directory, mode=0o700, exist_ok=True)
            os.symlink(holder, _link(directory, number))
            return True
        except FileExistsError:
            return False
        except FileNotFoundError:  # the last holder has just removed the directory
            continue
    return False


def _taken(directory: str) -> list[int]:
    try:
        return [int(name) for name in os.listdir(directory) if name.isdecimal()]
    except FileNotFoundError:
        return []


def _holder(directory: str, number: int) -> str | None:
    try:
        return os.readlink(_link(directory, number))
    except OSError:  # released by now, or no link of ours
        return None


def _link(directory: str, number: int) -> str:
    return os.path.join(directory, str(number))
