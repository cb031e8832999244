"""What the host has to give out, each thing to one container at a time, whichever process launches it.

A thing that is taken is a symbolic link: its name is the thing's, what it points to the container.
symlink(2) makes it whole and for one of two callers only, so it is lock and record in one. It stays
until the container is cleaned up, however its launcher ended; the directory is the whole host's, and
forgotten at a reboot like the containers are.

It points to the directory of the container's state, which is there from before anything is taken until all
has been given back. So a link that leads nowhere is nobody's, whichever state directory it was of.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterable, Iterator

from isolators.isolator import IsolatorFlags
from launcher.container_id import ContainerId

_ATTEMPTS = 100  # each is lost only to another container that ends just then


def holder(flags: IsolatorFlags, container_id: ContainerId) -> str:
    """The container, among those of all state directories."""
    return container_id.below(flags.own_state)


def shown(holder: str) -> str:
    """The container's name, for people."""
    names: list[str] = []
    while os.path.basename(os.path.dirname(holder)) == "containers":
        names.insert(0, os.path.basename(holder))
        holder = os.path.dirname(os.path.dirname(holder))
    return ".".join(names) or holder


def held(directory: str, holder: str) -> list[str]:
    """What the holder has, in the order of names."""
    return sorted(name for name in _taken(directory) if holder_of(directory, name) == holder)


def names(directory: str) -> list[str]:
    """All that is taken, in the order of names."""
    return sorted(_taken(directory))


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
    drop(directory, mine)
    return None


def release(directory: str, holder: str) -> None:
    """Let go of all that the holder has. Idempotent; leaves no empty directory."""
    drop(directory, held(directory, holder))


def sweep(directory: str) -> list[str]:
    """Let go of what is held by who is gone; the names of those things."""
    with contextlib.suppress(FileNotFoundError), locked(directory):  # a second one could find it taken anew
        gone = [name for name in sorted(_taken(directory)) if _is_gone(holder_of(directory, name))]
        drop(directory, gone)
        return gone
    return []


@contextlib.contextmanager
def locked(directory: str) -> Iterator[None]:
    """Hold the directory's lock, waiting for it; it leaves no file. Raises FileNotFoundError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _is_gone(holder: str | None) -> bool:
    """One that is no path is of a version that did not say whose it is."""
    return holder is not None and os.path.isabs(holder) and not os.path.isdir(holder)


def drop(directory: str, names: Iterable[str]) -> None:
    """Let go of these, whoever has them. Idempotent; leaves no empty directory."""
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
