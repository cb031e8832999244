"""Other owners for the files of a volume, in podman's words of `idmap`; mount_setattr(2) shows them so.

    idmap                              as the container's user namespace maps them
    idmap=uids=0-1000-1;gids=0-1000-1  root's on disk are user 1000's of the host
    idmap=uids=@0-1-10                 root's on disk are user 1's of the container, and so on
    idmap=uids=0-1000-1#5-1005-10      several ranges

Without `gids` the groups are as the users.
"""

from __future__ import annotations

import re

from isolators.isolator import OF_HOST, ContainerConfig
from isolators.volumes import Volume
from launcher.errors import InvalidRequest
from launcher.launch_info import IdMapping, Owners

_RANGE = re.compile(r"(@?)(\d{1,10})-(\d{1,10})-(\d{1,10})", re.ASCII)
_HINT = "write idmap, or idmap=uids=ON_DISK-SHOWN-COUNT[#…][;gids=…], with @ before the ids of the container"
_IDS = 2**32 - 1  # the last one stands for none


def has_own_users(config: ContainerConfig) -> bool:
    """Whether the container is in a user namespace that is not the host's."""
    if config.userns is not None or config.namespaces.get("user", OF_HOST) != OF_HOST:
        return True
    return config.parent is not None and config.parent.uid_map is not None


def owners_of(volume: Volume, config: ContainerConfig) -> Owners | None:
    """What the volume's `idmap` asks for. Raises InvalidRequest."""
    if volume.idmap is None:
        return None
    if not volume.idmap:
        if not has_own_users(config):
            hint = "give it one with --userns, or say with idmap=uids=… which owners it shows"
            raise InvalidRequest(
                f"the volume at {volume.target} is idmapped, and the container has no user namespace",
                hint=hint,
            )
        return Owners()
    return parse(volume.idmap)


def parse(text: str) -> Owners:
    """Raises InvalidRequest."""
    maps: dict[str, tuple[IdMapping, ...]] = {}
    relative = set()
    for part in text.split(";"):
        name, _, ranges = part.partition("=")
        matches = [_RANGE.fullmatch(one) for one in ranges.split("#")]
        if name not in ("uids", "gids") or name in maps or not all(matches):
            raise InvalidRequest(f"invalid idmap {text!r}", hint=_HINT)
        relative |= {bool(match[1]) for match in matches if match}
        maps[name] = tuple(IdMapping(*map(int, match.groups()[1:])) for match in matches if match)
    if "uids" not in maps or len(relative) != 1 or not all(map(_is_sound, maps.values())):
        raise InvalidRequest(f"invalid idmap {text!r}", hint=_HINT)
    return Owners(uids=maps["uids"], gids=maps.get("gids", maps["uids"]), relative=relative.pop())


def _is_sound(ranges: tuple[IdMapping, ...]) -> bool:
    """Whether the kernel takes them: user_namespaces(7)."""
    for side in ("inside", "outside"):
        end = 0
        for first, count in sorted((getattr(part, side), part.count) for part in ranges):
            if first < end or not count or first + count > _IDS:
                return False
            end = first + count
    return True
