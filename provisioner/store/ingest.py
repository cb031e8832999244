"""Ingest: the directory in which one pull makes its layers, and its claim on those that it found.

The directory is locked while the pull lives. A claim is written under the store's shared lock
before the pull looks what is there, so the deleter (exclusive) either sees the claim or is done.

What a pull had verified when it was interrupted, killed too, is worth a repeat: its claim stays and
counts for a day, or until an image that has the same layers is whole, or somebody frees space by hand.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType

from launcher.remove_tree import remove_tree
from provisioner.layer import skeleton
from provisioner.store import files, locks
from provisioner.store.paths import StorePaths

TREE = "tree"  # in layer.json

_CLAIM = "claim.json"

_INTERRUPTED = 86400.0  # seconds that the claim of an interrupted pull counts


class Ingest:
    """Use as a context manager; leaving it removes what was not committed.

    `resumable`: an exception leaves the claim, so that a repeat finds what was committed.
    """

    def __init__(self, paths: StorePaths, *, resumable: bool = False) -> None:
        self._paths = paths
        self._resumable = resumable
        self._claimed: frozenset[str] = frozenset()
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
        try:
            if kind is None:
                self._forget_interrupted()
            whole = [key for key in self._claimed if os.path.isdir(self._paths.layer(key))]
            if kind is not None and self._resumable and whole:
                _remove_all_but_claim(self.path)
            else:
                remove_tree(self.path)
        finally:
            os.close(self._fd)

    def _forget_interrupted(self) -> None:
        """Their repeat, or another image of the same layers, has them now."""
        for path, alive in _ingests(self._paths):
            claim = None if alive else files.read_json(f"{path}/{_CLAIM}")
            if claim and self._claimed.issuperset(claim["layers"]):
                remove_tree(path)

    def claim(self, layers: Iterable[str], blobs: Iterable[str]) -> None:
        """Keep these layers and small blobs from now on, there or not yet."""
        self._claimed = frozenset(layers)
        record = json.dumps({"layers": sorted(self._claimed), "blobs": list(blobs)}).encode()
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

    def commit(self, staged: str, key: str, size: int, skipped: Sequence[str] = ()) -> None:
        """Let the layer appear in the store, whole and durable, in one rename(2).

        `skipped`: what is missing in it, since it takes root to make; a sentence a reason.
        """
        value: dict[str, object] = {"size": size, "skipped": list(skipped)}
        if not os.path.exists(f"{staged}/{skeleton.NAME}"):
            from provisioner.layer.tree_digest import tree_digest  # rarely needed

            value[TREE] = tree_digest(f"{staged}/diff")
        record = json.dumps(value).encode()
        files.write_atomically(f"{staged}/layer.json", record, staging=staged, durable=False)
        files.sync_filesystem(staged)
        target = self._paths.layer(key)
        files.make_directories(os.path.dirname(target), durable=True)
        os.rename(staged, target)
        files.sync_directory(os.path.dirname(target))


def leftovers(paths: StorePaths, *, interrupted: bool) -> Iterator[str]:
    """What pulls have left that were killed. The caller holds the store's exclusive lock.

    `interrupted`: but not the claims that still count.
    """
    for path, alive in _ingests(paths):
        if alive:
            continue
        if interrupted and _claim_of_interrupted(path):
            yield from _all_but_claim(path)
        else:
            yield path


def claims(paths: StorePaths, *, interrupted: bool) -> Iterator[dict[str, list[str]]]:
    """What the pulls at work will use. The caller holds the store's exclusive lock.

    `interrupted`: and what those had that ended before they were done, for a day.
    """
    for path, alive in _ingests(paths):
        if alive:
            claim = files.read_json(f"{path}/{_CLAIM}")
        else:
            claim = _claim_of_interrupted(path) if interrupted else None
        if claim:
            yield claim


def _claim_of_interrupted(path: str) -> dict[str, list[str]] | None:
    """None for one that no longer counts."""
    try:
        age = time.time() - os.stat(f"{path}/{_CLAIM}").st_mtime
    except (FileNotFoundError, NotADirectoryError):
        return None
    return files.read_json(f"{path}/{_CLAIM}") if age < _INTERRUPTED else None


def _all_but_claim(path: str) -> list[str]:
    try:
        return [f"{path}/{name}" for name in os.listdir(path) if name != _CLAIM]
    except FileNotFoundError:  # its repeat is done just now
        return []


def _remove_all_but_claim(path: str) -> None:
    for each in _all_but_claim(path):
        remove_tree(each)


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
