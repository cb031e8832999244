"""namespaces/user: root in the container is an ordinary user on the host.

The container's ids from 0 on are others outside, where no user should have them: a range of its own
that is picked and held for it, one that is named, or those set aside for a user in subuid(5).
Every other new namespace belongs to the new user namespace, so what root may do there ends there.
The image's layers and the sandbox are shown with their owners mapped, and nothing is chowned:
idmapped mounts, mount_setattr(2). See user_namespaces(7).
"""

from __future__ import annotations

import binascii
import os
from collections.abc import Callable, Iterable, Iterator, Sequence

from isolators import ownership
from isolators.isolator import (
    ContainerConfig,
    Isolator,
    IsolatorFlags,
    Need,
    idmapped_paths,
    joins,
    shares,
)
from isolators.namespaces import id_maps, subordinate_ids
from launcher.container_id import ContainerId
from launcher.errors import ContainerizerError, InvalidRequest
from launcher.launch_info import IdMapping, LaunchInfo
from launcher.namespaces import NEW

AUTO = "auto"
SUBORDINATE = "subuid:"  # then the user's name or number
COUNT = 65536  # all ids that images use, and nobody (65534)
MIN_COUNT = 6  # 5 is the group of terminals, which devpts is mounted with

# The ranges that are picked: from here to below 2**31, which some programs cannot read, and above
# what useradd(8) and systemd's containers take.
FIRST = 0x70000000
RANGES = 0x0FFF

_LAST = 2**32 - 2  # the next one stands for none

_MOST_HELD = 16  # of those ranges, for ids that are named

_Pick = Callable[[str, str, Iterable[str], int], list[str] | None]  # directory, holder, of these, how many


class NoFreeRange(ContainerizerError):
    """Every range that containers get by themselves is held by one."""


def _supported() -> bool:
    try:
        with open("/proc/sys/user/max_user_namespaces") as file:
            return int(file.read()) > 0
    except FileNotFoundError:
        return os.path.exists("/proc/self/ns/user")


def _see(directory: str, _: str, numbers: Iterable[str], count: int) -> list[str] | None:
    found = ownership.free(directory, numbers, count)
    return found if len(found) == count else None


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

    def __init__(
        self,
        flags: IsolatorFlags,
        subuid: str = subordinate_ids.SUBUID,
        subgid: str = subordinate_ids.SUBGID,
    ) -> None:
        super().__init__(flags)
        self._subuid = subuid
        self._subgid = subgid
        self._allocated = os.path.join(flags.state, "users")

    def prepare(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        return self._launch_info(container_id, config, ownership.take)

    def contribute(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        """With `auto`, the range that it would get now."""
        return self._launch_info(container_id, config, _see)

    def cleanup(self, container_id: ContainerId) -> None:
        ownership.release(self._allocated, ownership.holder(self.flags, container_id))

    def recover(self, is_there: Callable[[ContainerId], bool]) -> Sequence[str]:
        return [f"the range of users {number}" for number in ownership.sweep(self._allocated)]

    def _launch_info(self, container_id: ContainerId, config: ContainerConfig, pick: _Pick) -> LaunchInfo:
        if config.parent is not None:
            return _nested(config)
        if joins("user", config):
            path = config.namespaces["user"]
            uid_map, gid_map = id_maps.of_namespace(path)
        elif asked := _asked(config):
            path = NEW
            uid_map, gid_map = self._maps(container_id, asked, pick)
        else:
            return LaunchInfo()
        return LaunchInfo(
            namespaces={"user": path},
            uid_map=uid_map,
            gid_map=gid_map,
            idmapped_paths=idmapped_paths(config),
        )

    def _maps(
        self, container_id: ContainerId, asked: str, pick: _Pick
    ) -> tuple[tuple[IdMapping, ...], tuple[IdMapping, ...]]:
        if asked.startswith(SUBORDINATE):
            user = asked.removeprefix(SUBORDINATE)
            return _subordinate(user, self._subuid), _subordinate(user, self._subgid)
        if asked == AUTO:
            mapping = IdMapping(0, FIRST + self._picked(container_id, pick) * COUNT, COUNT)
        else:
            mapping = _named(asked)
            self._hold(container_id, mapping, pick)
        return (mapping,), (mapping,)

    def _hold(self, container_id: ContainerId, mapping: IdMapping, pick: _Pick) -> None:
        """Where ids that are named are of the ranges that are picked: a kubelet names any of the host's."""
        first = max(mapping.outside - FIRST, 0) // COUNT
        end = min(-(-(mapping.outside + mapping.count - FIRST) // COUNT), RANGES)
        numbers = [str(number) for number in range(first, end)]
        holder = ownership.holder(self.flags, container_id)
        if not numbers or ownership.held(self._allocated, holder) == sorted(numbers):
            return
        named = f"{mapping.outside}:{mapping.count}"
        if len(numbers) > _MOST_HELD:
            hint = f"{FIRST} to {FIRST + RANGES * COUNT - 1} are given out by --userns auto"
            raise InvalidRequest(f"the range of users {named} has too many that may be others'", hint=hint)
        if pick(self._allocated, holder, numbers, len(numbers)) is None:
            others = (ownership.holder_of(self._allocated, number) for number in numbers)
            names = ", ".join(sorted({ownership.shown(other) for other in others if other}))
            raise InvalidRequest(f"the range of users {named} is that of container {names}")

    def _picked(self, container_id: ContainerId, pick: _Pick) -> int:
        """The number of its range: one that it holds already, or is given now."""
        holder = ownership.holder(self.flags, container_id)
        numbers = map(str, self._candidates(str(container_id)))
        picked = ownership.held(self._allocated, holder)
        picked = picked or pick(self._allocated, holder, numbers, 1) or []
        if not picked:
            hint = f"remove containers, or what {self._allocated} has of those that are gone"
            raise NoFreeRange(f"all {RANGES} ranges of users are taken", hint=hint)
        return int(picked[0])

    def _candidates(self, container: str) -> Iterator[int]:
        """All, from one that goes by the name: the same container gets the same again if it can."""
        set_aside = [entry for path in (self._subuid, self._subgid) for entry in subordinate_ids.read(path)]
        first = binascii.crc32(container.encode())
        for number in ((first + step) % RANGES for step in range(RANGES)):
            own = subordinate_ids.Range(container, FIRST + number * COUNT, COUNT)
            if not any(own.overlaps(entry) for entry in set_aside):
                yield number


def _asked(config: ContainerConfig) -> str | None:
    """The users that a new namespace maps; None if there is none to be made. Raises InvalidRequest."""
    asked = config.userns or (AUTO if config.namespaces.get("user") == NEW else None)
    if asked and shares("user", config):
        hint = "leave out --userns, or the namespace that it joins"
        raise InvalidRequest("a container cannot have its own users in another user namespace", hint=hint)
    if asked and shares("pid", config) and not shares("mnt", config):
        hint = "join the user namespace of those processes too, or have a PID namespace of its own"
        raise InvalidRequest("root in a user namespace of its own cannot mount others' /proc", hint=hint)
    return asked


def _nested(config: ContainerConfig) -> LaunchInfo:
    if config.userns is not None:
        hint = "leave out --userns: it has its parent's users"
        raise InvalidRequest("a nested container cannot map users anew", hint=hint)
    return LaunchInfo()


def _subordinate(user: str, path: str) -> tuple[IdMapping, ...]:
    """The user's ranges one after another, as the container's ids from 0 on."""
    mappings: list[IdMapping] = []
    inside = 0
    for entry in subordinate_ids.of_user(user, path):
        if entry.start == 0:
            raise InvalidRequest(f"the ids of user {user!r} in {path} begin with root's")
        mappings.append(IdMapping(inside, entry.start, entry.count))
        inside += entry.count
    if inside < MIN_COUNT:
        raise InvalidRequest(f"user {user!r} has {inside} ids in {path}: at least {MIN_COUNT} are needed")
    return tuple(mappings)


def _named(asked: str) -> IdMapping:
    start, _, count = asked.partition(":")
    if not (start.isdecimal() and (count.isdecimal() or not count)) or int(start) == 0:
        hint = "write auto, host, subuid:NAME, or the range on the host that it gets, such as 200000:65536"
        raise InvalidRequest(f"invalid range of users {asked!r}", hint=hint)
    mapping = IdMapping(0, int(start), int(count or COUNT))
    if mapping.count < MIN_COUNT or mapping.outside + mapping.count - 1 > _LAST:
        hint = f"it needs at least {MIN_COUNT} ids, and they end at {_LAST}"
        raise InvalidRequest(f"invalid range of users {asked!r}", hint=hint)
    return mapping
