"""User and group ids of a container in a user namespace, and what they are outside of it."""

from __future__ import annotations

import os

from launcher.data import Data
from launcher.launch_info import IdMapping

UNMAPPED = 65534  # what the kernel shows where there is no id: user_namespaces(7)

_ALL_IDS = 2**32 - 1

Map = tuple[IdMapping, ...]


class Ids(Data):
    """The maps of a user namespace, as this process sees them; empty where ids are its own."""

    uids: Map = ()
    gids: Map = ()


def ids_of(pid: int | None) -> Ids:
    """Those of a process. Raises FileNotFoundError or ProcessLookupError when it is gone."""
    own, its = os.stat("/proc/self/ns/user"), os.stat(f"/proc/{pid}/ns/user")
    if os.path.samestat(own, its):  # then the kernel would show what they are outside of both
        return Ids()
    return Ids(_read_map(f"/proc/{pid}/uid_map"), _read_map(f"/proc/{pid}/gid_map"))


def outside(mapping: Map, number: int) -> int | None:
    """What the container's id is outside; None if it is not mapped."""
    for part in mapping:
        if part.inside <= number < part.inside + part.count:
            return part.outside + number - part.inside
    return None if mapping else number


def inside(mapping: Map, number: int) -> int:
    """What the id is in the container; UNMAPPED if it is not mapped."""
    for part in mapping:
        if part.outside <= number < part.outside + part.count:
            return part.inside + number - part.outside
    return UNMAPPED if mapping else number


def _read_map(path: str) -> Map:
    with open(path, encoding="ascii") as file:
        mapping = tuple(IdMapping(*map(int, line.split())) for line in file)
    return () if mapping == (IdMapping(0, 0, _ALL_IDS),) else mapping
