"""namespaces/user: root in the container is an ordinary user on the host.

The container's ids 0 to COUNT-1 are START to START+COUNT-1 outside, where no user should have them.
Every other new namespace belongs to the new user namespace, so what root may do there ends there.
The image's layers and the sandbox are shown with their owners mapped, and nothing is chowned:
idmapped mounts, mount_setattr(2). See user_namespaces(7).
"""

from __future__ import annotations

import binascii
import os

from isolators.isolator import ContainerConfig, Isolator, Need, idmapped_paths
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest
from launcher.launch_info import IdMapping, LaunchInfo

AUTO = "auto"
COUNT = 65536  # all ids that images use, and nobody (65534)
MIN_COUNT = 6  # 5 is the group of terminals, which devpts is mounted with

# A range of the container's own is picked by its name, from here to below 2**31, which some programs
# cannot read: above what useradd(8) and systemd's containers take.
_FIRST = 0x70000000
_RANGES = 0x0FFF


def _supported() -> bool:
    try:
        with open("/proc/sys/user/max_user_namespaces") as file:
            return int(file.read()) > 0
    except FileNotFoundError:
        return os.path.exists("/proc/self/ns/user")


class UserNamespace(Isolator):
    name = "namespaces/user"
    enforces = frozenset({"userns"})
    requires = ("filesystem/linux",)  # owners are mapped in a mount namespace
    needs = (
        Need(
            "user namespaces",
            _supported,
            "sysctl user.max_user_namespaces=65536, or use a kernel with CONFIG_USER_NS",
        ),
    )

    def contribute(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        if config.parent is not None:
            return _nested(config)
        if config.userns is None:
            return LaunchInfo()
        mapping = (_mapping(container_id, config.userns),)
        return LaunchInfo(
            namespaces={"user": "new"},
            uid_map=mapping,
            gid_map=mapping,
            idmapped_paths=idmapped_paths(config),
        )


def _nested(config: ContainerConfig) -> LaunchInfo:
    if config.userns is not None:
        hint = "leave out --userns: it has its parent's users"
        raise InvalidRequest("a nested container cannot map users anew", hint=hint)
    return LaunchInfo()


def _mapping(container_id: ContainerId, asked: str) -> IdMapping:
    if asked == AUTO:
        picked = binascii.crc32(container_id.lineage[0].encode()) % _RANGES
        return IdMapping(0, _FIRST + picked * COUNT, COUNT)
    start, _, count = asked.partition(":")
    if not (start.isdecimal() and (count.isdecimal() or not count)) or int(start) == 0:
        hint = "write auto, host, or the range on the host that it gets, such as 200000:65536"
        raise InvalidRequest(f"invalid range of users {asked!r}", hint=hint)
    mapping = IdMapping(0, int(start), int(count or COUNT))
    if mapping.count < MIN_COUNT or mapping.outside + mapping.count > 2**32 - 1:
        hint = f"it needs at least {MIN_COUNT} ids, and they end at {2**32 - 2}"
        raise InvalidRequest(f"invalid range of users {asked!r}", hint=hint)
    return mapping
