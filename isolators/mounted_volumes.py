"""Which volumes of drivers are mounted on this host, and for which containers: one mount for all of them.

    <directory>/<key>/               one volume of one driver; its lock, by flock(2), whatever is done with it
                      record.json    what it takes to unmount it: there before it is mounted
                      <hash>         a link to the state of a container that has it

A driver is asked to mount a volume for the first container, and to unmount it after the last. Whoever is
killed meanwhile leaves the record and the link: the container's clean-up, or the next who looks, goes by
these. A link is made before anything else, and is nobody's where it leads nowhere, as in
isolators/ownership.py. All of it is forgotten at a reboot, as the mounts are.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator
from typing import Any

from launcher.errors import ContainerizerError
from launcher.kernel import files

_RECORD = "record.json"
_LARGEST = 1 << 20  # bytes of a record
_PAUSE = 0.02  # seconds between two looks whether a lock is free


class VolumeBusy(ContainerizerError):
    """Another container's launch or end is at work with the volume, and does not come to its end."""


class MountedVolume:
    """One of them, as long as its lock is held."""

    def __init__(self, path: str) -> None:
        self._path = path

    @property
    def record(self) -> dict[str, Any] | None:
        """None: it is not mounted. One that is torn tells nothing."""
        try:
            value = json.loads(files.read(os.path.join(self._path, _RECORD), _LARGEST))
        except (FileNotFoundError, ValueError):
            return None
        return value if isinstance(value, dict) else None

    def write(self, record: dict[str, Any]) -> None:
        place = os.path.join(self._path, _RECORD)
        with open(f"{place}.new", "w", encoding="utf-8", opener=_for_us) as file:
            json.dump(record, file)
        os.rename(f"{place}.new", place)

    def clear(self) -> None:
        for name in (_RECORD, f"{_RECORD}.new"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(self._path, name))

    def users(self) -> list[str]:
        """The directories of their states. Those of containers that are gone are dropped."""
        found = []
        for name in os.listdir(self._path):
            link = os.path.join(self._path, name)
            if not os.path.islink(link):
                continue
            holder = os.readlink(link)
            if os.path.isdir(holder):
                found.append(holder)
            else:
                os.unlink(link)
        return found

    def add(self, holder: str) -> None:
        with contextlib.suppress(FileExistsError):
            os.symlink(holder, os.path.join(self._path, _hash(holder)))

    def drop(self, holder: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(self._path, _hash(holder)))


class MountedVolumes:
    """All of one kind."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    @staticmethod
    def key(*words: str) -> str:
        """Of the volume that these tell from all others."""
        return _hash("\0".join(words))

    @contextlib.contextmanager
    def locked(self, key: str, timeout: float, what: str) -> Iterator[MountedVolume]:
        """Hold one's lock; it is removed in the end if nothing is in it.

        Raises VolumeBusy, which names `what`, after so many seconds.
        """
        path = os.path.join(self._directory, key)
        descriptor = self._lock(path, time.monotonic() + timeout, what)
        try:
            yield MountedVolume(path)
        finally:
            for each in (path, self._directory):
                with contextlib.suppress(OSError):  # it is in use, or others are
                    os.rmdir(each)
            os.close(descriptor)

    def keys_of(self, holder: str) -> list[str]:
        """Of those that a container has."""
        name = _hash(holder)
        return [key for key in self.all() if os.path.islink(os.path.join(self._directory, key, name))]

    def all(self) -> list[str]:
        """The keys of all."""
        try:
            return sorted(os.listdir(self._directory))
        except FileNotFoundError:
            return []

    def peek(self, key: str) -> dict[str, Any] | None:
        """The record, without the lock."""
        return MountedVolume(os.path.join(self._directory, key)).record

    def _lock(self, path: str, deadline: float, what: str) -> int:
        while True:
            try:
                os.makedirs(path, mode=0o700, exist_ok=True)
                descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue  # who had it has just removed it
            try:
                if _try(descriptor) and _is_same(descriptor, path):
                    return descriptor
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)
            if time.monotonic() > deadline:
                hint = "it can be tried again"
                raise VolumeBusy(f"{what} is being mounted or unmounted by somebody else", hint=hint)
            time.sleep(_PAUSE)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_same(descriptor: int, path: str) -> bool:
    """Whether what was locked is still there."""
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return False
    own = os.fstat(descriptor)
    return (there.st_dev, there.st_ino) == (own.st_dev, own.st_ino)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:32]


def _for_us(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)
