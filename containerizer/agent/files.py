"""Files of sandboxes for clients: listed and read, by virtual paths that lead nowhere else.

    /containers/<id>/…          the sandbox of a container; ids of nested ones are dotted

What lies there is the task's, so a path is resolved with the sandbox as its `/`: openat2(2). Only
regular files are read; a FIFO or a device would hold us up.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from containerizer.paths import Paths
from launcher.container_id import ContainerId
from launcher.data import Data
from launcher.errors import ContainerizerError, InvalidRequest
from launcher.kernel.safe_path import open_beneath

ROOT = "/containers"
MAX_READ = 16 * os.sysconf("SC_PAGE_SIZE")  # bytes in one answer, as the predecessor has it
_MAX_LISTED = 10_000  # entries of one directory


class NoSuchFile(ContainerizerError):
    """Nothing is at this virtual path."""


class FileInfo(Data, kw_only=True):
    """One entry of a directory."""

    path: str  # the virtual one
    nlink: int
    size: int
    mtime: float  # seconds since the epoch
    mode: int
    uid: int
    gid: int


def browse(paths: Paths, path: str) -> list[FileInfo]:
    """The entries of a directory, by name. Raises NoSuchFile, InvalidRequest."""
    with opened(paths, path) as node:
        if not stat.S_ISDIR(os.fstat(node).st_mode):
            raise NoSuchFile(f"no such directory: {path}")
        with _reopened(node, os.O_RDONLY | os.O_DIRECTORY) as directory:
            names = sorted(os.listdir(directory))[:_MAX_LISTED]
            return [info for name in names for info in _described(directory, path, name)]


def read(paths: Paths, path: str, offset: int = 0, length: int | None = None) -> tuple[int, bytes]:
    """The file's size, and what it has from `offset` on, at most MAX_READ. Raises as `browse` does."""
    if offset < 0 or (length is not None and length < 0):
        raise InvalidRequest(f"invalid offset {offset} or length {length}")
    with regular(paths, path) as file:
        wanted = MAX_READ if length is None else min(length, MAX_READ)
        size = os.fstat(file).st_size
        return size, os.pread(file, wanted, offset) if offset < size else b""


@contextmanager
def regular(paths: Paths, path: str) -> Iterator[int]:
    """A descriptor of a regular file. Raises NoSuchFile, InvalidRequest."""
    with opened(paths, path) as node:
        if not stat.S_ISREG(os.fstat(node).st_mode):
            raise InvalidRequest(f"{path} is no regular file")
        with _reopened(node, os.O_RDONLY) as file:
            yield file


@contextmanager
def opened(paths: Paths, path: str) -> Iterator[int]:
    """What is there, as a descriptor that reads nothing yet: to open a device may already do something."""
    container_id, inner = split(path)
    try:
        sandbox = os.open(paths.sandbox(container_id), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            descriptor = open_beneath(sandbox, inner, os.O_PATH)
        finally:
            os.close(sandbox)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise NoSuchFile(f"no such file: {path}") from None
        raise InvalidRequest(f"cannot open {path}: {os.strerror(error.errno or 0).lower()}") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _reopened(node: int, flags: int) -> Iterator[int]:
    descriptor = os.open(f"/proc/self/fd/{node}", flags | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def split(path: str) -> tuple[ContainerId, str]:
    """The container, and the path in its sandbox. Raises NoSuchFile, InvalidRequest."""
    if any(character < " " or character == "\x7f" for character in path):
        raise InvalidRequest("a path has a control character")
    head, _, rest = path.removeprefix(f"{ROOT}/").partition("/")
    if not path.startswith(f"{ROOT}/") or not head:
        raise NoSuchFile(f"no such file: {path}", hint=f"the paths begin with {ROOT}/<id>")
    return ContainerId.parse(head), rest or "."


def _described(directory: int, path: str, name: str) -> Iterator[FileInfo]:
    try:
        status = os.lstat(name, dir_fd=directory)
    except FileNotFoundError:
        return
    yield FileInfo(
        path=f"{path.rstrip('/')}/{os.fsencode(name).decode('utf-8', 'replace')}",
        nlink=status.st_nlink,
        size=status.st_size,
        mtime=status.st_mtime,
        mode=status.st_mode,
        uid=status.st_uid,
        gid=status.st_gid,
    )
