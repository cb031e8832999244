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

from containerizer import ids
from containerizer.copying.errors import CopyFailed
from containerizer.ids import Ids, Map
from launcher.kernel.filesystem_ids import filesystem_ids
from provisioner.layer.tar import Entry

_PRIVILEGES = stat.S_ISUID | stat.S_ISGID
_FILE_CAPABILITIES = "security.capability"

Rule = Callable[[Entry], Entry]


def making_files(container: Ids) -> contextlib.AbstractContextManager[None]:
    """Within this context files are made as the container's root: through its mounts only who is
    mapped can.
    """
    if not container.uids:
        return contextlib.nullcontext()
    return filesystem_ids(_outside(container.uids, 0), _outside(container.gids, 0))


def into(container: Ids, *, archive: bool) -> Rule:
    """What an entry becomes in a container."""

    def rule(entry: Entry) -> Entry:
        uid, gid = (entry.uid, entry.gid) if archive else (0, 0)
        return entry._replace(uid=_outside(container.uids, uid), gid=_outside(container.gids, gid))

    return rule


def out_of(container: Ids, *, archive: bool) -> Rule:
    """What an entry of a container becomes outside."""
    own_uid, own_gid = os.geteuid(), os.getegid()

    def rule(entry: Entry) -> Entry:
        if archive:
            uid, gid = ids.inside(container.uids, entry.uid), ids.inside(container.gids, entry.gid)
            return entry._replace(uid=uid, gid=gid)
        mode = entry.mode if entry.kind == "directory" else entry.mode & ~_PRIVILEGES
        xattrs = {name: value for name, value in entry.xattrs.items() if name != _FILE_CAPABILITIES}
        return entry._replace(uid=own_uid, gid=own_gid, mode=mode, xattrs=xattrs)

    return rule


def _outside(mapping: Map, number: int) -> int:
    outside = ids.outside(mapping, number)
    if outside is None:
        hint = "copy without --archive, and the files are root's"
        raise CopyFailed(f"the container's user namespace has no id {number}", hint=hint)
    return outside
