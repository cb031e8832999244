"""Files that are there whole or not at all, and trees that go away whatever is in them."""

from __future__ import annotations

import contextlib
import json
import os
from typing import Any

from launcher.kernel import files

_LARGEST = 1 << 24  # bytes of a record


def read_json(path: str) -> dict[str, Any] | None:
    """A record of ours; None when there is none, or one that lost power tore."""
    found = content(path)
    return None if found is None else record_in(found)


def content(path: str) -> bytes | None:
    """Of a record's file, as it is; None when there is none."""
    try:
        return files.read_short(path, _LARGEST)
    except (FileNotFoundError, NotADirectoryError):
        return None


def record_in(content: bytes) -> dict[str, Any] | None:
    """None where it is torn."""
    try:
        value = json.loads(content)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def write_atomically(path: str, content: bytes, *, staging: str, durable: bool) -> None:
    """Replace the file and make its parents. `durable`: it survives a power cut from then on.

    `staging` is a directory of the same filesystem, where a writer that is killed leaves its part.
    """
    temporary = f"{staging}/{os.urandom(8).hex()}"
    try:
        _write(temporary, content, durable=durable)
        _move(temporary, path, durable=durable)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    if durable:
        sync_directory(os.path.dirname(path))


def write_locked(path: str, content: bytes) -> None:
    """Write the file and make its parents, for readers who wait for the writer: it may be seen half-written.

    A power cut may take it.
    """
    while True:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
            break
        except FileNotFoundError:
            make_directories(os.path.dirname(path), durable=False)
    try:
        while content:
            content = content[os.write(descriptor, content) :]
    finally:
        os.close(descriptor)


def _write(path: str, content: bytes, *, durable: bool) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o666)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        descriptor = os.open(path, flags, 0o666)
    with open(descriptor, "wb", buffering=0) as file:
        while content:
            content = content[file.write(content) :]
        if durable:
            os.fsync(descriptor)


def make_directories(path: str, *, durable: bool) -> None:
    """Make the directory and its parents. `durable`: their names survive a power cut from then on."""
    missing = []
    while not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    for each in reversed(missing):
        with contextlib.suppress(FileExistsError):
            os.mkdir(each)
        if durable:
            sync_directory(os.path.dirname(each))


def _move(source: str, path: str, *, durable: bool) -> None:
    while True:
        try:
            return os.rename(source, path)
        except FileNotFoundError:  # no parent, or a neighbour removed the one that it just found empty
            if not os.path.exists(source):
                raise
        with contextlib.suppress(FileNotFoundError):  # as above, in the midst; the rename will tell
            make_directories(os.path.dirname(path), durable=durable)


def sync_directory(path: str) -> None:
    """Make the names in it durable: fsync(2) of a file does not cover its directory entry."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_filesystem(path: str) -> None:
    """syncfs(2): one call for the ten thousands of files of a layer. Raises OSError."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)  # not PyDLL: other layers go on meanwhile
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if libc.syncfs(fd) != 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error), path)
    finally:
        os.close(fd)


def remove_empty_parents(path: str, top: str) -> None:
    """Remove the directories between `path` and `top` that nothing is in any more."""
    parent = os.path.dirname(path)
    with contextlib.suppress(OSError):  # not empty, or gone: both are fine
        while parent != top:
            os.rmdir(parent)
            parent = os.path.dirname(parent)
