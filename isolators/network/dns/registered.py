"""Who is in a network and by which names: a file for each attachment, which the name server reads.

    {"id": "web-1f2e3d4c", "names": ["web", "db"], "addresses": ["10.5.0.2"], "servers": ["1.1.1.1"]}

Written beside the directory and renamed, so a change is a change of the directory, and what somebody who was
killed has left counts as nobody; when the directory is gone the network is, too.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

from launcher.data import Data
from launcher.kernel import files
from launcher.remove_tree import remove_tree

_LARGEST = 1 << 16  # bytes
_TICK = 50_000_000  # nanoseconds, some more than the coarsest clock of a kernel


class Registered(Data):
    """One container in one network."""

    id: str  # of the container, the same in each of its networks
    names: tuple[str, ...]  # in lower case
    addresses: tuple[str, ...]
    servers: tuple[str, ...]  # that it has asked for; (): the host's


def add(directory: str, file: str, record: Mapping[str, Any]) -> None:
    """For who has the network's lock. Raises OSError."""
    beside = f"{directory}.new"
    with open(beside, "w", encoding="utf-8") as opened:
        json.dump(record, opened)
    os.rename(beside, os.path.join(directory, file))


def remove(directory: str, file: str) -> None:
    """Idempotent."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(directory, file))


def close(directory: str) -> None:
    """Nobody is left: the name server ends. Idempotent."""
    with contextlib.suppress(FileNotFoundError):
        remove_tree(directory)


class Directory:
    """The records of one network, read again when the directory has changed."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._read: object = None
        self._records: Sequence[Registered] = ()

    def records(self) -> Sequence[Registered]:
        try:
            stat = os.stat(self._path)
            if (state := (stat.st_ino, stat.st_mtime_ns)) != self._read:
                names = [name for name in os.listdir(self._path) if not name.startswith(".")]
                self._records = list(filter(None, map(self._load, names)))
                # The next change may come in the same tick of the kernel's clock, and look like no change.
                is_settled = time.time_ns() - stat.st_mtime_ns > _TICK
                self._read = state if is_settled else None
        except FileNotFoundError:
            self._records, self._read = (), None
        return self._records

    def _load(self, name: str) -> Registered | None:
        try:
            value = json.loads(files.read(os.path.join(self._path, name), _LARGEST))
            names = tuple(str(each).lower() for each in value["names"])
            return Registered(str(value["id"]), names, tuple(value["addresses"]), tuple(value["servers"]))
        except (OSError, ValueError, KeyError, TypeError):  # gone meanwhile
            return None
