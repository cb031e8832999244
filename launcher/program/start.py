"""Start a machine in a new process, by posix_spawn(3): as vfork(2) does it, without a fork.

A fork would copy the page tables of an interpreter that the next instruction throws away. Any process
may do it, however many threads it has.
"""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Mapping
from typing import Any

from launcher.data import Data, field
from launcher.program import machine

_SIGNALS = [int(number) for number in signal.valid_signals()]


class Command(Data):
    """What runs a program: an executable that reads it, as the machine does."""

    path: str
    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    descriptor: int = -1  # one that the path needs


def make_command(*, force_engine: bool = False) -> Command:
    """The machine, or the engine where there can be none. Its descriptor is the caller's. Raises OSError."""
    if not force_engine:
        try:
            return _of_descriptor(machine.make(), machine.ARGV)
        except OSError:
            pass  # doctor says why
    from launcher.kernel import mounts  # both are rarely needed
    from launcher.program import engine

    # In a mount of its own: launcher/program/engine.py says why.
    executable = mounts.clone_tree(engine.EXECUTABLE, ("ro", "nosuid", "nodev"))
    return _of_descriptor(executable, engine.ARGV, engine.ENVIRONMENT)


def start(
    command: Command, descriptors: Mapping[int, int], *, fresh: bool = False, apart: bool = False
) -> int:
    """Start it with our descriptors in these places, besides those that are inheritable. Returns its pid.

    `fresh`: no signal is ignored or blocked; `apart`: in a session of its own. Raises OSError.
    """
    above = max(command.descriptor, *descriptors, *descriptors.values()) + 1
    own: dict[str, Any] = {"setsigmask": (), "setsigdef": _SIGNALS} if fresh else {}
    own |= {"setsid": True} if apart else {}
    path, moved = command.path, -1
    if command.descriptor in descriptors:  # its place is another's
        moved = fcntl.fcntl(command.descriptor, fcntl.F_DUPFD_CLOEXEC, above + len(descriptors))
        path = _path(moved)
    try:
        actions = _moves(descriptors, above)
        return os.posix_spawn(path, command.argv, command.environment, file_actions=actions, **own)
    finally:
        if moved >= 0:
            os.close(moved)


def _of_descriptor(
    descriptor: int, argv: tuple[str, ...], environment: Mapping[str, str] | None = None
) -> Command:
    return Command(_path(descriptor), argv, environment or {}, descriptor)


def _path(descriptor: int) -> str:
    return f"/proc/self/fd/{descriptor}"


def _moves(sources: Mapping[int, int], above: int) -> list[tuple[int, ...]]:
    """First to where nothing is, then each to its place: posix_spawn(3) makes the moves one by one."""
    places = list(enumerate(sources, above))
    away = [(os.POSIX_SPAWN_DUP2, sources[place], moved) for moved, place in places]
    home = [(os.POSIX_SPAWN_DUP2, moved, place) for moved, place in places]
    return [*away, *home, *((os.POSIX_SPAWN_CLOSE, moved) for moved, _ in places)]
