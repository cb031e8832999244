"""Filters that are compiled already, as files: what a command needs the compiler for is 10 ms of its start.

A name has in it all that the program depends on, this project's own files among that. What is there is
loaded as it is, so a directory that somebody else may write to is not used.
"""

from __future__ import annotations

import contextlib
import os

from isolators.isolator import BUILTIN_SECCOMP
from launcher.kernel import capabilities, files

# A profile, the machine, the task's capabilities, and whether its files are kept in their project.
Asked = tuple[str, str, tuple[str, ...], bool]

_MAX_SIZE = 1 + 8 * 4096  # bytes: of a program of BPF_MAXINSNS, and its flags
_MOST = 256  # files: one a profile and set of capabilities; all of them are forgotten at a reboot

_SOURCES = ("syscalls.py", "seccomp_filter.py", "seccomp_profile.py", "seccomp_document.py")


def find(directory: str, asked: Asked) -> bytes | None:
    """The program, if it is kept there."""
    with contextlib.suppress(OSError):
        if _is_ours(directory):
            return files.read(os.path.join(directory, _name(asked)), _MAX_SIZE)
    return None


def keep(directory: str, asked: Asked, program: bytes) -> None:
    """Keep it, where there is a place and room."""
    path = os.path.join(directory, _name(asked))
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


def _name(asked: Asked) -> str:
    here = os.path.dirname(__file__)
    found = [os.stat(os.path.join(here, name)) for name in _SOURCES]
    versions = (f"{status.st_mtime_ns:x}.{status.st_size:x}" for status in found)
    profile, machine, granted, limited = asked
    mask = sum(1 << capabilities.NUMBERS[name] for name in granted)
    words = (_of_profile(profile), machine, f"{mask:x}", f"{limited:d}", os.uname().release, *versions)
    return "-".join(words).replace("/", "_")


def _of_profile(profile: str) -> str:
    if profile == BUILTIN_SECCOMP:
        return profile
    import hashlib  # 3 ms of a start, for those with a profile of their own

    return hashlib.sha256(profile.encode()).hexdigest()


def _is_ours(directory: str) -> bool:
    status = os.lstat(directory)
    return status.st_uid == os.geteuid() and not status.st_mode & 0o022
