"""Ingest: the directory in which one pull makes its layers, and its claim on those that it found.

The directory is locked while the pull lives. A claim is written under the store's shared lock
before the pull looks what is there, so the deleter (exclusive) either sees the claim or is done.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType

from launcher.remove_tree import remove_tree
from provisioner.store import files, locks
from provisioner.store.paths import StorePaths

_CLAIM = "claim.json"


class Ingest:
    """Use as a context manager; leaving it removes what was not committed."""

    def __init__(self, paths: StorePaths) -> None:
        self._paths = paths
        self.path = f"{paths.ingest}/{os.urandom(8).hex()}"
        with locks.shared(paths.lock):
            os.makedirs(self.path, mode=0o700)
            self._fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            assert locks.try_lock(self._fd)  # nobody else knows its name
        os.mkdir(self.trash, 0o700)

    @property
    def trash(self) -> str:
        return f"{self.path}/trash"

    def __enter__(self) -> Ingest:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        remove_tree(self.path)
        os.close(self._fd)

    def claim(self, layers: Iterable[str], blobs: Iterable[str]) -> None:
        """Keep these layers and small blobs from now on, there or not yet."""
        record = json.dumps({"layers": list(layers), "blobs": list(blobs)}).encode()
        with locks.shared(self._paths.lock):
            files.write_atomically(f"{self.path}/{_CLAIM}", record, staging=self.path, durable=False)

    def store(self, blobs: Mapping[str, bytes]) -> None:
        """Put the claimed blobs into the store; when the layers are there, so that none is without them."""
        for digest, content in blobs.items():
            path = self._paths.blob(digest)
            if not os.path.exists(path):
                files.write_atomically(path, content, staging=self.path, durable=True)

    def stage(self, name: str) -> str:
        """A new directory for a layer in the making, with its empty `diff`."""
        staged = f"{self.path}/{name}"
        os.mkdir(staged, 0o700)
        os.mkdir(f"{staged}/diff", 0o755)
        os.chmod(f"{staged}/diff", 0o755)  # noqa: S103 - whatever the umask; it becomes the task's /
        return staged

    def commit(self, staged: str, key: str, size: int) -> None:
        """Let the layer appear in the store, whole and durable, in one rename(2)."""
        record = json.dumps({"size": size}).encode()
        files.write_atomically(f"{staged}/layer.json", record, staging=staged, durable=False)
        files.sync_filesystem(staged)
        target = self._paths.layer(key)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.rename(staged, target)
        files.sync_directory(os.path.dirname(target))


def leftovers(paths: StorePaths) -> Iterator[str]:
    """Directories of pulls that were killed. The caller holds the store's exclusive lock."""
    for path, alive in _ingests(paths):
        if not alive:
            yield path


def claims(paths: StorePaths) -> Iterator[dict[str, list[str]]]:
    """What the pulls at work will use. The caller holds the store's exclusive lock."""
    for path, alive in _ingests(paths):
        if alive and (claim := files.read_json(f"{path}/{_CLAIM}")):
            yield claim


def _ingests(paths: StorePaths) -> Iterator[tuple[str, bool]]:
    try:
        names = os.listdir(paths.ingest)
    except FileNotFoundError:
        return
    for name in names:
        path = f"{paths.ingest}/{name}"
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            yield path, not locks.try_lock(fd)
        finally:
            os.close(fd)
