"""Fetcher: URIs into a directory. Downloads go on side by side; their files are placed in their order."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from containerizer.fetcher.cache import Cache
from containerizer.fetcher.errors import FetchFailed
from containerizer.fetcher.host_file import open_as
from containerizer.fetcher.http import Http
from containerizer.fetcher.options import FetchOptions
from containerizer.fetcher.place import Owner, Place, file_entry
from containerizer.fetcher.unpack import Archive, unpack
from containerizer.fetcher.uri import FetchUri
from launcher.data import Data
from provisioner.errors import Cancelled
from provisioner.layer.stream import MalformedContent
from provisioner.registry.line import Line
from provisioner.sources.spool import unnamed_file

_AT_ONCE = 4  # downloads
_POLL = 0.05  # seconds between looks whether another process has fetched what we want
_CHUNK = 1 << 20  # bytes


class _Item(Data):
    """A URI, and an open file of what it gave."""

    uri: FetchUri
    fd: int


class Fetcher:
    """Of one cache directory. Safe to use from several processes and threads at once."""

    def __init__(self, directory: str, options: FetchOptions | None = None) -> None:
        self._options = options or FetchOptions()
        self.cache = Cache(directory, self._options.cache_size)

    def fetch(
        self,
        uris: Sequence[FetchUri],
        directory: str,
        *,
        owner: Owner | None = None,
        reader: Owner | None = None,
        line: Line | None = None,
    ) -> None:
        """Bring them into the directory, which is on the cache's filesystem.

        The files become the `owner`'s. Those of this host are opened with the rights of `reader`; None:
        this process'. Whoever cuts the `line` from another thread ends it all. Raises FetchFailed.
        """
        os.makedirs(self.cache.scratch, mode=0o700, exist_ok=True)
        with contextlib.ExitStack() as stack:
            items = self._acquired(uris, reader, line or Line(), stack)
            place = stack.enter_context(Place(directory, self.cache.trash, owner))
            for item in items:
                with _explained(item.uri):
                    self._put(item, place)
            place.finish()

    # One file each -----------------------------------------------------------------------------

    def _acquired(
        self, uris: Sequence[FetchUri], reader: Owner | None, line: Line, stack: contextlib.ExitStack
    ) -> list[_Item]:
        http = Http(self._options, line)
        stack.callback(line.close)
        stack.callback(http.close)
        pool = ThreadPoolExecutor(min(_AT_ONCE, len(uris) or 1))
        try:
            futures = [pool.submit(self._acquire, uri, reader, http, line) for uri in uris]
            errors = [error for future in futures if (error := future.exception())]
        except BaseException:  # we were interrupted
            line.cut()
            raise
        finally:
            pool.shutdown(cancel_futures=True)
        for future in futures:
            if not future.exception():
                stack.callback(os.close, future.result())
        for error in sorted(errors, key=lambda error: isinstance(error, Cancelled)):  # the cause first
            if isinstance(error, Cancelled):
                raise FetchFailed("the fetch was given up") from error
            raise error
        return [_Item(uri, future.result()) for uri, future in zip(uris, futures, strict=True)]

    def _acquire(self, uri: FetchUri, reader: Owner | None, http: Http, line: Line) -> int:
        """A descriptor of what the URI gives. One failure ends the others."""
        try:
            with _explained(uri):
                fd = self._opened(uri, reader, http, line)
                try:
                    _check(uri, fd)
                except BaseException:
                    os.close(fd)
                    raise
                return fd
        except BaseException:
            line.cut()
            raise

    def _opened(self, uri: FetchUri, reader: Owner | None, http: Http, line: Line) -> int:
        if uri.path is not None:
            return self._of_host(uri, uri.path, reader)
        if uri.cache:
            return self._cached(uri, http, line)
        fd = unnamed_file(self.cache.scratch)
        try:
            http.download(uri, fd)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _of_host(self, uri: FetchUri, path: str, reader: Owner | None) -> int:
        reader = reader or Owner(os.geteuid(), os.getegid())
        fd = open_as(path, reader.uid, reader.gid)
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_size > self._options.max_size:
            os.close(fd)
            why = "it is too large" if stat.S_ISREG(status.st_mode) else "it is no regular file"
            raise FetchFailed(f"cannot fetch {uri.shown}: {why}")
        return fd

    def _cached(self, uri: FetchUri, http: Http, line: Line) -> int:
        until = time.monotonic() + self._options.timeout

        def wait() -> None:
            line.wait(_POLL)
            if time.monotonic() > until:
                raise FetchFailed(
                    f"cannot fetch {uri.shown}: another process has been fetching it for too long"
                )

        with self.cache.locked(uri.value, wait):
            found = self.cache.find(uri.value)
            if found and _is_promised(uri, found[1]):
                return found[1]
            with contextlib.ExitStack() as stack:
                if found:
                    stack.callback(os.close, found[1])
                fd, path = stack.enter_context(self.cache.new_file())
                received = http.download(uri, fd, found[0] if found else None)
                if received is None:
                    assert found is not None
                    return os.dup(found[1])
                _check(uri, fd)
                self.cache.add(uri.value, received, path)
                return os.dup(fd)

    # Into the sandbox --------------------------------------------------------------------------

    def _put(self, item: _Item, place: Place) -> None:
        uri = item.uri
        if uri.extract:
            unpack(Archive(fd=item.fd, name=uri.name, output=uri.output_file), place, self._options)
            return
        entry = file_entry(uri.output_file or uri.name, 0o755 if uri.executable else 0o644, time.time_ns())
        place.put(entry, map(memoryview, _chunks(item.fd)))


def _is_promised(uri: FetchUri, fd: int) -> bool:
    """Whether it is what the checksum says: then there is nothing to ask."""
    return uri.checksum is not None and _digest(uri.checksum, fd) == uri.checksum


def _check(uri: FetchUri, fd: int) -> None:
    if uri.checksum is not None and (found := _digest(uri.checksum, fd)) != uri.checksum:
        hint = "it was changed, on the way or at its source"
        raise FetchFailed(f"{uri.shown} has the digest {found}, not {uri.checksum}", hint=hint)


def _digest(checksum: str, fd: int) -> str:
    algorithm = checksum.partition(":")[0]
    digest = hashlib.new(algorithm)
    for chunk in _chunks(fd):
        digest.update(chunk)
    return f"{algorithm}:{digest.hexdigest()}"


def _chunks(fd: int) -> Iterator[bytes]:
    """From the start, wherever the descriptor stands: duplicates share that."""
    position = 0
    while chunk := os.pread(fd, _CHUNK, position):
        position += len(chunk)
        yield chunk


@contextlib.contextmanager
def _explained(uri: FetchUri) -> Iterator[None]:
    try:
        yield
    except MalformedContent as error:
        raise FetchFailed(f"cannot unpack {uri.shown}: {error}") from error
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        hint = "the task's user must be able to read it" if error.errno == errno.EACCES else None
        raise FetchFailed(f"cannot fetch {uri.shown}: {why}", hint=hint) from error
