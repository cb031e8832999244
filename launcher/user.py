"""Who the task runs as: resolve "name|uid[:group|gid]" against an image's passwd(5) and group(5).

The rules are Docker's: a name must be known, a number need not be; supplementary groups come from
the group file unless the request names a group. A number is never looked up as a name: an image
whose passwd calls root "1000" would be root where 1000 was asked for (CVE-2016-3697).
"""

from __future__ import annotations

import errno
import functools
from collections.abc import Iterable

from launcher.data import Data

_MAX_ID = 2**32 - 2  # (uid_t) -1 means "leave unchanged"


class User(Data):
    """Numeric credentials and the home directory."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str

    def with_groups(self, gids: Iterable[int]) -> User:
        """The same, in these groups too."""
        return User(self.uid, self.gid, tuple(dict.fromkeys((*self.groups, *gids))), self.home)


@functools.lru_cache(maxsize=4)  # one image after another has the same; one file may be of megabytes
def resolve_user(user: str, passwd: str, group: str, image_groups: bool | None = None) -> User:
    """Raises OSError (ENOENT: unknown name, EINVAL: not an id) with `user` as its object.

    `image_groups`: whether it is in the groups that the group file has it in; None: Docker's rule.
    """
    name, _, group_name = user.partition(":")
    name = name or "0"
    entry = _find(name, _records(passwd, 7), id_field=2)
    uid = int(entry[2]) if entry else _number(name, "user", "/etc/passwd")
    home = entry[5] if entry and entry[5].startswith("/") else "/"
    groups = _records(group, 4)
    if group_name:
        found = _find(group_name, groups, id_field=2)
        gid = int(found[2]) if found else _number(group_name, "group", "/etc/group")
    else:
        gid = int(entry[3]) if entry else 0
    if not (image_groups or (image_groups is None and not group_name)):
        return User(uid, gid, (gid,), home)
    members = {int(fields[2]) for fields in groups if entry and entry[0] in fields[3].split(",")}
    # The gid among them, or dropping it by setgid would lose what it was denied: CVE-2022-36109.
    return User(uid, gid, tuple(sorted(members | {gid})), home)


def _records(text: str, fields: int) -> list[list[str]]:
    """The well-formed lines; an image's broken ones are no reason to fail."""
    lines = (line.strip().split(":") for line in text.split("\n") if not line.startswith("#"))
    lines = (line for line in lines if not any("\0" in field for field in line))
    ids = (2, 3) if fields == 7 else (2,)  # passwd(5) has a uid and a gid, group(5) a gid
    whole = (line for line in lines if len(line) == fields and line[0])
    return [line for line in whole if all(_is_id(line[index]) for index in ids)]


def _find(key: str, records: list[list[str]], *, id_field: int) -> list[str] | None:
    if key.isascii() and key.isdigit():
        by_id = (record for record in records if _is_id(key) and int(record[id_field]) == int(key))
        return next(by_id, None)
    return next((record for record in records if record[0] == key), None)


def _number(text: str, what: str, file: str) -> int:
    if _is_id(text):
        return int(text)
    if text.isdigit():
        raise OSError(errno.EINVAL, f"a {what} id is at most {_MAX_ID}", text)
    raise OSError(errno.ENOENT, f"no such {what} in the image's {file}", text)


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= _MAX_ID
