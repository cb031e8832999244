"""Subordinate ids: ranges that the host's administrator has set aside for a user. See subuid(5).

Each line of /etc/subuid and /etc/subgid is NAME:START:COUNT, where NAME is a login name or a number;
one user may have several lines. Both files name users, also that of groups.
"""

from __future__ import annotations

import pwd
from collections.abc import Iterator
from itertools import pairwise

from launcher.data import Data
from launcher.errors import ContainerizerError, InvalidRequest

SUBUID = "/etc/subuid"
SUBGID = "/etc/subgid"

_LAST = 2**32 - 2  # of the host's ids; the next one stands for none


class InvalidSubordinateIds(ContainerizerError):
    """A line of such a file means nothing; the message names file and line."""


class Range(Data):
    """`count` ids of the host from `start` on."""

    owner: str
    start: int
    count: int

    @property
    def end(self) -> int:
        return self.start + self.count

    def overlaps(self, other: Range) -> bool:
        return self.start < other.end and other.start < self.end


def read(path: str) -> list[Range]:
    """Every range in the file, in its order; a file that is not there has none.

    Empty lines and those that begin with "#" are skipped. Raises InvalidSubordinateIds.
    """
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSubordinateIds(f"cannot read {path}: {error}") from error
    return [
        _parse(line, f"{path}:{number}")
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]


def of_user(user: str, path: str) -> list[Range]:
    """The ranges in the file of a user, given by name or number, under either.

    The user need not exist: an entry may stand for a purpose. Raises InvalidSubordinateIds, and
    InvalidRequest for one that has none, or the same id twice.
    """
    aliases = set(_aliases(user))
    found = [entry for entry in read(path) if entry.owner in aliases]
    if not found:
        hint = f"usermod --add-subuids 200000-265535 --add-subgids 200000-265535 {user}"
        raise InvalidRequest(f"user {user!r} has no subordinate ids in {path}", hint=hint)
    ordered = sorted(found, key=lambda entry: entry.start)
    for one, following in pairwise(ordered):
        if one.overlaps(following):
            lines = " and ".join(f"{entry.owner}:{entry.start}:{entry.count}" for entry in (one, following))
            raise InvalidRequest(f"ranges of user {user!r} overlap in {path}: {lines}")
    return found


def _aliases(user: str) -> Iterator[str]:
    yield user
    try:
        entry = pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
    except (KeyError, OverflowError):
        return
    yield entry.pw_name
    yield str(entry.pw_uid)


def _parse(line: str, place: str) -> Range:
    owner, *numbers = line.strip().split(":")
    if not owner or len(numbers) != 2 or not all(n.isascii() and n.isdecimal() for n in numbers):
        raise InvalidSubordinateIds(f"{place}: {line!r} is not NAME:START:COUNT", hint="see subuid(5)")
    start, count = map(int, numbers)
    if count < 1 or start + count - 1 > _LAST:
        raise InvalidSubordinateIds(f"{place}: {line!r} has no ids, or ids beyond {_LAST}")
    return Range(owner, start, count)
