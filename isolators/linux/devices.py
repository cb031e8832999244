"""linux/devices: nodes of the host's devices, beside /dev/null and the like, which every container has.

A node is bound, not made: so it works in a user namespace too, where mknod(2) is refused, and its owner
and mode are the host's. What may be done with it, cgroups/devices enforces.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from isolators.devices import Device, DeviceRule, rule_of
from isolators.isolator import ContainerConfig, Isolator
from launcher.container_id import ContainerId
from launcher.data import replace
from launcher.errors import InvalidRequest
from launcher.launch_info import LaunchInfo, Mount
from launcher.merge import Merged

_FLAGS = ("ro", "nosuid", "noexec")  # a device does not heed "ro", its node's mode and owner do
_MOST = 4096  # nodes of one request: a slip such as / must not fill the memory


class LinuxDevices(Isolator):
    name = "linux/devices"
    enforces = frozenset({"devices", "cdi_devices"})
    requires = ("filesystem/linux",)  # whose /dev has nothing else

    def prepare(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        """Asked for each launch: what is in /dev now may be gone at the next, or another device."""
        info = self.contribute(container_id, config)
        if not info.hooks:
            return info
        from isolators import bundle  # which few devices need

        return replace(info, bundle=bundle.write(self.flags, container_id, config))

    def cleanup(self, container_id: ContainerId) -> None:
        from isolators import bundle

        bundle.remove(self.flags, container_id)

    def contribute(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        mounts, rules = [], []
        for device in config.devices:
            for node, rule in _nodes(device):
                if config.rootfs is not None:
                    mounts.append(_mount(node))
                elif node.source != node.target:
                    hint = "run an image, or leave out the path in the container"
                    raise InvalidRequest(f"there is no /dev of its own to show {node.target} in", hint=hint)
                rules.append(str(rule))
        own = LaunchInfo(mounts=tuple(mounts), devices=tuple(rules))
        return self._with_cdi(own, config) if config.cdi_devices else own

    def _with_cdi(self, own: LaunchInfo, config: ContainerConfig) -> LaunchInfo:
        from isolators.linux import cdi  # which few ask for

        if config.rootfs is None:
            hint = "run an image: on the host's filesystem a task finds all of the host's /dev"
            raise InvalidRequest("devices by CDI are for containers with a root filesystem", hint=hint)
        merged = Merged()
        merged.add("--device", own)
        merged.add("CDI", cdi.contribution(config.cdi_devices, self.flags.cdi_spec_dirs))
        return merged.info


def _mount(node: Device) -> Mount:
    return Mount(target=node.target, fstype="bind", source=node.source, flags=_FLAGS)


def _nodes(device: Device) -> Iterator[tuple[Device, DeviceRule]]:
    """Those that the request means, each with its rule. Raises InvalidRequest."""
    rule = rule_of(device.source, device.access)
    if rule is not None:
        yield replace(device, source=os.path.realpath(device.source)), rule
        return
    found = list(_in_directory(device))
    if not found:
        there = "there is none in that directory" if os.path.isdir(device.source) else "it is none"
        reason = there if os.path.exists(device.source) else "there is no such file"
        hint = "`ls -l /dev` shows the host's"
        raise InvalidRequest(f"unknown device {device.source}: {reason}", hint=hint)
    yield from found


def _in_directory(device: Device) -> Iterator[tuple[Device, DeviceRule]]:
    """All nodes below it, such as those of /dev/snd; links among them are left out, as Docker does."""
    count = 0
    for directory, names, files in os.walk(device.source):
        names.sort()
        for name in sorted(files):
            path = os.path.join(directory, name)
            rule = None if os.path.islink(path) else rule_of(path, device.access)
            if rule is None:
                continue
            count += 1
            if count > _MOST:
                raise InvalidRequest(f"more than {_MOST} devices are in {device.source}")
            target = os.path.join(device.target, os.path.relpath(path, device.source))
            yield Device(source=path, target=target, access=device.access), rule
