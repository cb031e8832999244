"""Whose copied files become, and as whom they are made.

By default they are root's in the container and the caller's on the host; with `archive` they keep
their owners, by number. In a user namespace the container's numbers are others on the host. Out of a
container and to another owner no file takes the privileges along that it gave to its own.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable

from containerizer.copying.errors import CopyFailed
from launcher.data import Data, replace
from launcher.kernel.user_namespaces import filesystem_ids
from launcher.launch_info import IdMapping
from provisioner.layer.tar import Entry

_UNMAPPED = 65534  # what the kernel shows where there is no number: user_namespaces(7)
_ALL_IDS = 2**32 - 1
_PRIVILEGES = stat.S_ISUID | stat.S_ISGID
_FILE_CAPABILITIES = "security.capability"

Rule = Callable[[Entry], Entry]


class Ids(Data):
    """The maps of a user namespace; empty where ids are the host's."""

    uids: tuple[IdMapping, ...] = ()
    gids: tuple[IdMapping, ...] = ()

    def making_files(self) -> contextlib.AbstractContextManager[None]:
        """Within this context files are made as the container's root: through its mounts only who is
        mapped can.
        """
        if not self.uids:
            return contextlib.nullcontext()
        return filesystem_ids(_outside(self.uids, 0), _outside(self.gids, 0))


def ids_of(pid: int | None) -> Ids:
    """Those of a process. Raises FileNotFoundError or ProcessLookupError when it is gone."""
    return Ids(_read_map(f"/proc/{pid}/uid_map"), _read_map(f"/proc/{pid}/gid_map"))


def into(ids: Ids, *, archive: bool) -> Rule:
    """What an entry becomes in a container."""

    def rule(entry: Entry) -> Entry:
        uid, gid = (entry.uid, entry.gid) if archive else (0, 0)
        return replace(entry, uid=_outside(ids.uids, uid), gid=_outside(ids.gids, gid))

    return rule


def out_of(ids: Ids, *, archive: bool) -> Rule:
    """What an entry of a container becomes outside."""
    own_uid, own_gid = os.geteuid(), os.getegid()

    def rule(entry: Entry) -> Entry:
        if archive:
            return replace(entry, uid=_inside(ids.uids, entry.uid), gid=_inside(ids.gids, entry.gid))
        mode = entry.mode if entry.kind == "directory" else entry.mode & ~_PRIVILEGES
        xattrs = {name: value for name, value in entry.xattrs.items() if name != _FILE_CAPABILITIES}
        return replace(entry, uid=own_uid, gid=own_gid, mode=mode, xattrs=xattrs)

    return rule


def _read_map(path: str) -> tuple[IdMapping, ...]:
    with open(path, encoding="ascii") as file:
        mapping = tuple(IdMapping(*map(int, line.split())) for line in file)
    return () if mapping == (IdMapping(0, 0, _ALL_IDS),) else mapping


def _outside(mapping: tuple[IdMapping, ...], number: int) -> int:
    for part in mapping:
        if part.inside <= number < part.inside + part.count:
            return part.outside + number - part.inside
    if mapping:
        hint = "copy without --archive, and the files are root's"
        raise CopyFailed(f"the container's user namespace has no id {number}", hint=hint)
    return number


def _inside(mapping: tuple[IdMapping, ...], number: int) -> int:
    for part in mapping:
        if part.outside <= number < part.outside + part.count:
            return part.inside + number - part.outside
    return _UNMAPPED if mapping else number
