"""What disks are to be measured, and what was found: files that isolators and measurer share.

<directory>/<key>.asked   of one container: what its isolator wants to know. Replaced, never changed
<directory>/<key>.found   of one container: what the measurer has found so far. Made by the isolator
<directory>               locked by the measurer while it is there: flock(2)

So whoever comes later, after any restart, finds both; and whoever finds the directory unlocked starts
a measurer. It ends when nothing is left to measure; who removes the last files removes the directory.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import struct
import sys
from typing import Any

from launcher.container_id import ContainerId
from launcher.data import Data, asdict
from launcher.kernel import process

ASKED, FOUND = ".asked", ".found"

_FOUND = struct.Struct("qq")  # bytes used, and bytes used past the limit; -1: not known, and never
_NOTHING = -1

# It is nobody's child, so its parent goes at once. Isolated and without site: quick to start, and small.
_BOOTSTRAP = """import os, sys
os.fork() and os._exit(0)
os.setsid()
sys.path.insert(0, sys.argv[1])
from isolators.disk import measurer
measurer.main(sys.argv[2], int(sys.argv[3]))"""
_ENVIRONMENT = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
_IMPORT_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Asked(Data, kw_only=True):
    """One container: what is to be measured, and what to do about it."""

    sandbox: str
    limit: int | None = None  # bytes
    enforced: bool = True  # whether the task is killed for the limit
    interval: float  # seconds between the end of a measurement and the next one
    project: int | None = None  # whose quota knows the usage; None: the directory is walked
    pid: int | None = None  # the task's; None: it is not there yet, so there is nothing to measure
    started: int | None = None  # when the task started, in clock ticks since boot


class Found(Data, kw_only=True):
    """What was measured, in bytes."""

    used: int | None = None
    over: int | None = None  # what was used when the task was killed for it


class Register:
    """The files in one directory."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._started: int | None = None  # who starts a measurer, and ends then

    def ask(self, container_id: ContainerId, asked: Asked) -> None:
        """Have a container measured, or measured otherwise. Raises OSError."""
        path = self._path(container_id)
        while True:
            os.makedirs(self._directory, mode=0o700, exist_ok=True)
            try:
                with contextlib.suppress(FileExistsError):
                    _create(path + FOUND, _FOUND.pack(_NOTHING, _NOTHING))
                _replace(path + ASKED, json.dumps(asdict(asked)))
                return
            except FileNotFoundError:  # the last one has just removed the directory
                continue

    def asked(self, container_id: ContainerId) -> Asked | None:
        return read_asked(self._path(container_id) + ASKED)

    def found(self, container_id: ContainerId) -> Found:
        """Empty for a container that nobody measures."""
        try:
            with open(self._path(container_id) + FOUND, "rb") as file:
                values = _FOUND.unpack(file.read(_FOUND.size))
        except FileNotFoundError:
            return Found()
        used, over = (None if value == _NOTHING else value for value in values)
        return Found(used=used, over=over)

    def forget(self, container_id: ContainerId) -> None:
        """Unknown ones are fine."""
        self._collect()
        for suffix in (ASKED, FOUND):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path(container_id) + suffix)
        with contextlib.suppress(OSError):  # others are there
            os.rmdir(self._directory)

    def have_measured(self) -> None:
        """See to it that a measurer is there, if there is something to measure. Raises OSError."""
        try:
            directory = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._collect()
            self._started = _execute(self._directory, directory)  # with the lock, which so is never let go
        except BlockingIOError:  # one is there
            return
        finally:
            os.close(directory)

    def _collect(self) -> None:
        """Not when it is started: to load an interpreter takes half as long as a launch."""
        if self._started is not None:
            process.collect(self._started)
            self._started = None

    def _path(self, container_id: ContainerId) -> str:
        """Short enough at any depth, and nobody else's."""
        import hashlib

        return os.path.join(self._directory, hashlib.sha256(str(container_id).encode()).hexdigest())


def read_asked(path: str) -> Asked | None:
    """None where there is no such file."""
    try:
        with open(path, encoding="ascii") as file:
            return Asked(**json.load(file))
    except FileNotFoundError:
        return None


def tell(path: str, found: Found) -> None:
    """Write it to the file of that path, unless it is gone: then nobody wants to know any more."""
    values = (_NOTHING if value is None else value for value in (found.used, found.over))
    with contextlib.suppress(FileNotFoundError):
        file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.pwrite(file, _FOUND.pack(*values), 0)
        finally:
            os.close(file)


def _create(path: str, content: bytes) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, content)
    finally:
        os.close(file)


def _replace(path: str, content: str) -> None:
    beside = f"{path}.{os.getpid()}"
    with open(beside, "w", encoding="ascii") as file:
        file.write(content)
    os.replace(beside, path)


def _execute(directory: str, locked: int) -> int:
    place = max(locked, 2) + 1
    actions: list[Any] = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0)]
    actions += [(os.POSIX_SPAWN_DUP2, 0, 1), (os.POSIX_SPAWN_DUP2, 0, 2)]
    actions.append((os.POSIX_SPAWN_DUP2, locked, place))
    argv = [sys.executable, "-I", "-S", "-c", _BOOTSTRAP, _IMPORT_ROOT, directory, str(place)]
    return os.posix_spawn(sys.executable, argv, _ENVIRONMENT, file_actions=actions)
