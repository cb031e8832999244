"""Cache: what was fetched before, for every process that uses the same root directory.

<directory>/
|-- entries/<sha256 of the URI>.json    what it gave, and how to ask whether it still does
|-- content/<sha256>                    files; several URIs may give the same
|-- fetching/<sha256 of the URI>        locked by whoever fetches it just now: others wait
|-- new/                                downloads in progress, locked as well
|-- replaced/                           what entries of archives replace, until they are unpacked
`-- lock                                of whoever adds to content, or takes from it

An entry's time is that of its last use. Who has a file open reads on when it is evicted.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator

from containerizer.fetcher.http import Received
from launcher.data import asdict
from provisioner.store import locks
from provisioner.store.files import read_json, write_atomically

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class Cache:
    """`size` bounds the bytes of all content."""

    def __init__(self, directory: str, size: int) -> None:
        self._directory = directory
        self._size = size

    @property
    def scratch(self) -> str:
        """A directory on the cache's filesystem."""
        return f"{self._directory}/new"

    @property
    def trash(self) -> str:
        """Another one."""
        return f"{self._directory}/replaced"

    def used(self) -> int:
        """Bytes of all content."""
        return sum(size for _, size in self._content())

    def locked(self, uri: str, wait: Callable[[], None]) -> contextlib.AbstractContextManager[None]:
        """Be the one who fetches this URI; `wait` is called between tries and may raise."""
        return locks.for_key(f"{self._directory}/fetching/{_key(uri)}", wait)

    @contextlib.contextmanager
    def new_file(self) -> Iterator[tuple[int, str]]:
        """An empty file, and its path, where it is until it is added."""
        os.makedirs(self.scratch, mode=0o700, exist_ok=True)
        locks.remove_unheld(self.scratch)  # those of processes that were killed
        fd, path = self._locked_file()
        try:
            yield fd, path
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            os.close(fd)

    def _locked_file(self) -> tuple[int, str]:
        """Until it is locked, somebody else may sweep it away; then another one."""
        while True:
            path = f"{self.scratch}/{os.urandom(8).hex()}"
            fd = os.open(path, _NEW, 0o600)
            if locks.try_lock(fd) and locks.is_current(fd, path):
                return fd, path
            os.close(fd)

    def find(self, uri: str) -> tuple[Received, int] | None:
        """What the URI gave the last time, and a descriptor of that: the caller's."""
        try:
            received = Received(**(read_json(self._entry(uri)) or {}))
            fd = os.open(self._path(received.digest), _READ)
        except (TypeError, FileNotFoundError):  # of another version, torn, or evicted
            return None
        if os.fstat(fd).st_size != received.size:
            os.close(fd)
            return None
        with contextlib.suppress(FileNotFoundError):
            os.utime(self._entry(uri))
        return received, fd

    def add(self, uri: str, received: Received, path: str) -> None:
        """Move the file in, and others out if there are too many."""
        if received.size > self._size:
            return
        entry = json.dumps(asdict(received)).encode()
        with locks.exclusive(f"{self._directory}/lock"):
            os.makedirs(f"{self._directory}/content", mode=0o700, exist_ok=True)
            os.rename(path, self._path(received.digest))
            write_atomically(self._entry(uri), entry, staging=f"{self._directory}/staging", durable=False)
            self._evict()

    def _evict(self) -> None:
        """The entries that were used last stay, as many as there is room for."""
        left, kept = self._size, set[str]()
        for path in self._entries():
            received = read_json(path) or {}
            digest, size = str(received.get("digest")), int(received.get("size", 0))
            if digest not in kept:
                left -= size
            if left < 0:
                os.unlink(path)
                left += 0 if digest in kept else size
            else:
                kept.add(digest)
        for path, _ in self._content():
            if f"sha256:{os.path.basename(path)}" not in kept:
                os.unlink(path)

    def _entries(self) -> list[str]:
        """The latest used first."""
        directory = f"{self._directory}/entries"
        paths = [f"{directory}/{name}" for name in os.listdir(directory)]
        return sorted(paths, key=lambda path: os.stat(path).st_mtime_ns, reverse=True)

    def _content(self) -> list[tuple[str, int]]:
        directory = f"{self._directory}/content"
        with contextlib.suppress(FileNotFoundError):
            return [(entry.path, entry.stat().st_size) for entry in os.scandir(directory)]
        return []

    def _entry(self, uri: str) -> str:
        return f"{self._directory}/entries/{_key(uri)}.json"

    def _path(self, digest: str) -> str:
        return f"{self._directory}/content/{digest.removeprefix('sha256:')}"


def _key(uri: str) -> str:
    return hashlib.sha256(uri.encode()).hexdigest()
