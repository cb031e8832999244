"""Filters that are compiled already, as files: what a command needs the compiler for is 10 ms of its start.

A name has in it all that the program depends on, this project's own files among that. What is there is
loaded as it is, so a directory that somebody else may write to is not used.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable

from launcher.kernel import files

_MAX_SIZE = 1 + 8 * 4096  # bytes: of a program of BPF_MAXINSNS, and its flags
_MOST = 256  # files: one a profile and set of capabilities; all of them are forgotten at a reboot

_SOURCES = ("syscalls.py", "seccomp_filter.py", "seccomp_profile.py", "seccomp_document.py")


def find(directory: str, parts: Iterable[object]) -> bytes | None:
    """The program of these parts, if it is kept there."""
    with contextlib.suppress(OSError):
        if _is_ours(directory):
            return files.read(os.path.join(directory, _name(parts)), _MAX_SIZE)
    return None


def keep(directory: str, parts: Iterable[object], program: bytes) -> None:
    """Keep it, where there is a place and room."""
    path = os.path.join(directory, _name(parts))
    with contextlib.suppress(OSError):
        os.makedirs(directory, mode=0o700, exist_ok=True)
        if os.path.exists(path) or not _is_ours(directory):
            return
        kept = os.listdir(directory)
        for name in kept if len(kept) >= _MOST else ():
            os.unlink(os.path.join(directory, name))
        making = f"{path}.{os.getpid()}"
        with open(making, "wb") as file:
            file.write(program)
        os.rename(making, path)


def _name(parts: Iterable[object]) -> str:
    here = os.path.dirname(__file__)
    found = [os.stat(os.path.join(here, name)) for name in _SOURCES]
    versions = [(status.st_mtime_ns, status.st_size) for status in found]
    return hashlib.sha256(repr((*parts, os.uname().release, versions)).encode()).hexdigest()


def _is_ours(directory: str) -> bool:
    status = os.lstat(directory)
    return status.st_uid == os.geteuid() and not status.st_mode & 0o022
