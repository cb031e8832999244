"""The ids of a user namespace that is there already, read from a process in it: user_namespaces(7)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from launcher.errors import InvalidRequest
from launcher.launch_info import IdMapping

Maps = tuple[tuple[IdMapping, ...], tuple[IdMapping, ...]]  # of users, and of groups


def of_namespace(path: str) -> Maps:
    """As this process' namespace sees them. The kernel shows the maps of processes only, so there
    has to be one in it. Raises InvalidRequest.
    """
    namespace = os.stat(path)
    for process in _processes():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            maps = _of_process(process)
            if os.path.samestat(os.stat(f"{process}/ns/user"), namespace):
                return maps
    hint = "keep one there, for its maps are shown nowhere else"
    raise InvalidRequest(f"no process is in the user namespace {path}", hint=hint)


def _processes() -> Iterator[str]:
    return (f"/proc/{name}" for name in os.listdir("/proc") if name.isdecimal())


def _of_process(process: str) -> Maps:
    return _read(f"{process}/uid_map"), _read(f"{process}/gid_map")


def _read(path: str) -> tuple[IdMapping, ...]:
    with open(path) as file:
        return tuple(IdMapping(*map(int, line.split())) for line in file)
