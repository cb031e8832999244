"""cgroups/devices: which devices a container may use, whatever nodes it can make or see; the others fail.

Allowed are those that every program expects (DEFAULT), what other isolators have given the container,
and what the request names by number. v1 has a controller, Documentation/admin-guide/cgroup-v1/
devices.rst; on v2 a program of eBPF decides, which replaces the one before it at once.

On v1 the task is in a cgroup below the container's, `leaf`, which is all of the hierarchy that it can mount:
it may allow itself what the one above allows, and no more. Else who may mount could allow itself everything.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

from isolators.cgroups.device_program import program
from isolators.cgroups.subsystem import CgroupIsolator
from isolators.devices import ALL, DeviceRule, ordered, parse
from isolators.isolator import ContainerConfig, Need
from isolators.resources import Resources
from launcher.container_id import ContainerId
from launcher.data import replace
from launcher.kernel import bpf, cgroups
from launcher.kernel.cgroups import CgroupError, Hierarchy
from launcher.launch_info import LaunchInfo

# Docker's: null, zero, full, random, urandom, tty, console, ptmx, and the terminals of devpts. A node may be
# made of everything, which images do; it opens nothing that is not allowed.
DEFAULT = parse(
    "c 1:3 rw,c 1:5 rw,c 1:7 rw,c 1:8 rw,c 1:9 rw,c 5:0 rw,c 5:1 rw,c 5:2 rw,c 136:* rw,c *:* m,b *:* m"
)
_EVERYTHING = (("c", None, None), ("b", None, None))

_PROGRAM = "containerizer"  # its name, 15 characters at most

# What isolators have given, kept where it goes with the cgroup: xattr(7) of cgroupfs.
_GRANTED = "trusted.containerizer.devices"

_Key = tuple[str, int | None, int | None]
_Accesses = Mapping[_Key, str]


def _find(mountinfo: str = cgroups.MOUNTINFO) -> Hierarchy | None:
    """v1's hierarchy with the controller, or else v2's, if programs can be loaded."""
    found = cgroups.find("devices", mountinfo)
    if found is None and bpf.is_supported():
        return cgroups.unified(mountinfo)
    return found


class CgroupsDevices(CgroupIsolator):
    name = "cgroups/devices"
    controller = "devices"
    needs = (
        Need(
            "control of devices by cgroup",
            lambda: _find() is not None,
            "mount -t cgroup -o devices cgroup /sys/fs/cgroup/devices, or use CONFIG_CGROUP_BPF",
        ),
    )
    enforces = frozenset({"device_rules", "device_access"})

    @classmethod
    def find(cls, mountinfo: str) -> Hierarchy | None:
        return _find(mountinfo)

    def check(self, resources: Resources) -> None:
        if resources.device_rules is not None:
            parse(resources.device_rules)

    def contribute(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        info = super().contribute(container_id, config)
        if not self._has_leaf:
            return info
        return replace(
            info,
            cgroups_v1=tuple(_leaf(cgroup) for cgroup in info.cgroups_v1),
            mounts=tuple(replace(mount, source=_leaf(mount.source or "")) for mount in info.mounts),
        )

    def create(self, container_id: ContainerId, config: ContainerConfig) -> None:
        super().create(container_id, config)
        if self._has_leaf:  # which inherits the rules
            path = os.path.relpath(_leaf(self.cgroup(container_id)), self.hierarchy.mount_point)
            cgroups.create(self.hierarchy, path, self.controller)

    @property
    def _has_leaf(self) -> bool:
        """Not where other controllers have the same hierarchy: their isolators show the task another one."""
        return self.hierarchy.version == 1 and len(self.hierarchy.controllers) == 1

    def fill(self, cgroup: str, config: ContainerConfig) -> None:
        granted = json.dumps(config.granted_devices).encode()
        try:
            os.setxattr(cgroup, _GRANTED, granted)
        except OSError as error:
            raise CgroupError(f"cannot keep what {cgroup} is granted", error) from error
        self.limit(cgroup, config.resources)

    def limit(self, cgroup: str, resources: Resources) -> None:
        asked = parse(resources.device_rules) if resources.device_rules else ()
        own = (*asked, *(rule for text in _granted(cgroup) for rule in parse(text)))
        if self.hierarchy.version == 2:
            _limit_v2(cgroup, _merged(own), _merged(DEFAULT))
            return
        for each in filter(os.path.isdir, (cgroup, _leaf(cgroup))):  # what is denied, the kernel denies below
            _limit_v1(each, _merged(own), _merged(DEFAULT))

    def status(self, container_id: ContainerId) -> Mapping[str, Any]:
        return {**super().status(container_id), "devices_granted": _granted(self.cgroup(container_id))}


def _leaf(cgroup: str) -> str:
    return f"{cgroup}/{cgroups.LEAF}"


def _granted(cgroup: str) -> list[str]:
    try:
        texts: list[str] = json.loads(os.getxattr(cgroup, _GRANTED))
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.ENOENT):
            return []
        raise
    return texts


def _limit_v2(cgroup: str, own: _Accesses, default: _Accesses) -> None:
    rules = [_rule(key, access) for key, access in _joined(own, default).items()]
    try:
        loaded = bpf.load(program(rules), _PROGRAM)
        try:
            bpf.attach(cgroup, loaded, _PROGRAM)
        finally:
            os.close(loaded)
    except OSError as error:
        hint = "a program above it allows no others: use another cgroups root"
        blocked = hint if error.errno == errno.EPERM else None
        raise CgroupError(f"cannot control the devices of {cgroup}", error, hint=blocked) from error


def _limit_v1(cgroup: str, own: _Accesses, default: _Accesses) -> None:
    """Only what changes is written, what is allowed first: nobody notices what stays."""
    before = _listed(cgroup)
    if before is None:
        cgroups.write(cgroup, "devices.deny", "a")
        before = {}
    wanted = _joined(own, default)
    for key, access in wanted.items():
        if missing := _without(access, before.get(key, "")):
            _allow(cgroup, _rule(key, missing), needed=key in own)
    for key, access in before.items():
        if surplus := _without(access, wanted.get(key, "")):
            cgroups.write(cgroup, "devices.deny", str(_rule(key, surplus)))


def _allow(cgroup: str, rule: DeviceRule, *, needed: bool) -> None:
    """The kernel refuses what the cgroup above may not; of the default ones that is just so."""
    try:
        cgroups.write(cgroup, "devices.allow", str(rule))
    except CgroupError as error:
        if error.errno != errno.EPERM or needed:
            error.hint = "the container around it, or whatever this runs in, may not use that device itself"
            raise


def _listed(cgroup: str) -> _Accesses | None:
    """What is allowed now; None: everything."""
    text = cgroups.read(cgroup, "devices.list")
    return None if text.startswith("a") else _merged(parse(text.replace("\n", ",")) if text else ())


def _merged(rules: Iterable[DeviceRule]) -> _Accesses:
    """One rule for the same devices: that of several is what the kernel asks one of them for.

    To make nodes is allowed of everything, so no rule says so again: v1 wants all of a rule above it.
    """
    found: dict[_Key, str] = {}
    for rule in rules:
        key = (rule.kind, rule.major, rule.minor)
        access = rule.access if key in _EVERYTHING else rule.access.replace("m", "")
        if access:
            found[key] = ordered(found.get(key, "") + access)
    return found


def _joined(own: _Accesses, default: _Accesses) -> dict[_Key, str]:
    return {key: ordered(own.get(key, "") + default.get(key, "")) for key in (*default, *own)}


def _rule(key: _Key, access: str) -> DeviceRule:
    return DeviceRule(kind=key[0], major=key[1], minor=key[2], access=access)


def _without(access: str, other: str) -> str:
    return "".join(letter for letter in ALL if letter in access and letter not in other)
