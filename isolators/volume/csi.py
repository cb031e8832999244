"""volume/csi: volumes of the Container Storage Interface that are there already, by plug-ins that run.

A volume is staged on the node, if its plug-in does that, and published for the first container that has it,
and both is undone after the last, whoever cleans that up: isolators/mounted_volumes.py. Containers that may
write and such that may not have different places to which it is published.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from isolators import answering, ownership, volumes
from isolators.driver_volumes import BRIEF, DriverVolumes, VolumeFailed, place
from isolators.isolator import ContainerConfig
from isolators.volume_owners import owners_of
from isolators.volumes import Volume
from launcher.container_id import ContainerId
from launcher.data import replace
from launcher.errors import ContainerizerError, InvalidRequest
from launcher.launch_info import LaunchInfo, Mount

if TYPE_CHECKING:
    from isolators.mounted_volumes import MountedVolume
    from isolators.secrets import Secret
    from isolators.volume.csi_node import Node
    from isolators.volume.csi_plugins import CsiPlugin

_MOUNTS = "csi-mounts"  # where it is mounted, if the plug-in has no place of its own
_STAGING = "staging"


class VolumeCsi(DriverVolumes):
    name = "volume/csi"
    enforces = frozenset({"csi_volumes"})
    directory = "csi-volumes"
    told_as = "csi_volumes"
    tells = ("plugin", "volume_id")

    @property
    def patience(self) -> float:
        return self.flags.csi_timeout

    def called(self, record: Mapping[str, Any]) -> str:
        return f"{record['volume_id']} of {record['plugin']}"

    def prepare(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        asked = _checked(config)
        holder = ownership.holder(self.flags, container_id)
        published: dict[tuple[str, str, bool], str] = {}
        for volume in sorted(asked, key=_which):  # so that no two wait crosswise
            if _which(volume) not in published:
                published[_which(volume)] = self._published(volume, holder)
        return _launch_info(asked, [published[_which(volume)] for volume in asked], config)

    def contribute(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        """In the place of a path the name of the volume: a dry run asks no plug-in."""
        asked = _checked(config)
        return _launch_info(asked, [f"{volume.driver}:{volume.source}" for volume in asked], config)

    def _published(self, volume: Volume, holder: str) -> str:
        """Where it is, and has to stay for the holder. Raises ContainerizerError."""
        from isolators.volume import csi_plugins
        from isolators.volume.csi_node import Node

        known, plugin = self.known(), csi_plugins.find(volume.driver, self.flags)
        node = Node(plugin, self.flags.csi_timeout, self.flags.csi_retries)
        key = known.key(volume.driver, volume.source)
        patience = 4 * self.flags.csi_timeout  # as long as the one before may take for its calls
        with known.locked(key, patience, f"volume {volume.source} of {volume.driver}") as mounted:
            mounted.add(holder)
            return self._publish(node, plugin, volume, mounted, key)

    def _publish(
        self, node: Node, plugin: CsiPlugin, volume: Volume, mounted: MountedVolume, key: str
    ) -> str:
        """What is there already is asked for again: the same comes of it, unless the plug-in has lost it."""
        from isolators.volume.csi_node import Published

        assert volume.csi is not None
        node.probe()
        node.check_name()
        directory = os.path.join(plugin.target_root or place(self.flags, _MOUNTS), key)
        target = os.path.join(directory, "ro" if _is_readonly(volume) else "rw")
        staging = os.path.join(directory, _STAGING) if node.stages() else ""
        where = Published(volume_id=volume.source, staging=staging, target=target)
        before = mounted.record or {}
        record: dict[str, Any] = {
            "plugin": volume.driver,
            "volume_id": volume.source,
            "socket": plugin.socket,
        }
        record |= {"directory": directory, "staging": staging}
        record["targets"] = sorted({target, *before.get("targets", ())})
        mounted.write({**record, "whole": before.get("whole", False)})
        for each in (directory, *([staging] if staging else []), *([target] if plugin.target_exists else [])):
            _make(each)
        if staging:
            node.stage(where, volume.csi, self._values(volume.csi.stage_secrets))
        secrets = self._values(volume.csi.publish_secrets)
        node.publish(where, volume.csi, secrets, readonly=_is_readonly(volume))
        answering.check(target)
        if not os.path.exists(target):
            message = f"the CSI plug-in {volume.driver} has published the volume {volume.source}"
            raise VolumeFailed(f"{message} at {target}, where nothing is")
        mounted.write({**record, "whole": True})
        return target

    def _values(self, secrets: Mapping[str, Secret]) -> dict[str, str]:
        if not secrets:
            return {}
        from isolators import secret_resolvers
        from isolators.secrets import variable

        return {
            name: variable(secret_resolvers.value_of(secret, self.flags), name)
            for name, secret in secrets.items()
        }

    def left(self, volume: MountedVolume, holder: str | None) -> bool:
        """Take it back if nobody but the holder has it; whether it was. Raises ContainerizerError."""
        from isolators.volume.csi_node import Node
        from isolators.volume.csi_plugins import CsiPlugin

        record = volume.record
        if record is None or set(volume.users()) - {holder}:
            return False
        limits = (self.flags.csi_timeout, self.flags.csi_retries) if record["whole"] else (BRIEF, 0)
        node = Node(CsiPlugin(name=record["plugin"], socket=record["socket"]), *limits)
        try:
            for target in record["targets"]:
                node.unpublish(record["volume_id"], target)
            if record["staging"]:
                node.unstage(record["volume_id"], record["staging"])
        except ContainerizerError:
            if record["whole"]:
                raise
        _remove([*record["targets"], record["staging"], record["directory"], place(self.flags, _MOUNTS)])
        volume.clear()
        return True


def _which(volume: Volume) -> tuple[str, str, bool]:
    return volume.driver, volume.source, _is_readonly(volume)


def _is_readonly(volume: Volume) -> bool:
    return volume.readonly or (volume.csi is not None and volume.csi.is_reader)


def _remove(directories: Sequence[str]) -> None:
    """Those of plug-ins' that are empty: what is in one is a volume, or somebody's who is not to lose it."""
    for directory in directories:
        with contextlib.suppress(OSError):
            os.rmdir(directory)


def _make(directory: str) -> None:
    while True:
        with contextlib.suppress(FileNotFoundError):  # who had the last volume has just removed one around it
            os.makedirs(directory, mode=0o700, exist_ok=True)
            return


def _checked(config: ContainerConfig) -> list[Volume]:
    from isolators.csi import CsiVolume  # for those who have some

    asked = volumes.of(config, volumes.word_of(volumes.CSI))
    for volume in asked:
        volumes.check_place(volume, config)
        if not volume.source or not volume.driver or "\0" in volume.source:
            hint = "name its plug-in and its id"
            raise InvalidRequest(f"the CSI volume at {volume.target} is not named", hint=hint)
        if volume.csi is not None and volume.csi.block and volume.subpath:
            raise InvalidRequest(f"the block volume at {volume.target} has no parts")
    return [volume if volume.csi else replace(volume, csi=CsiVolume()) for volume in asked]


def _launch_info(asked: Sequence[Volume], sources: Sequence[str], config: ContainerConfig) -> LaunchInfo:
    mounts, rules = [], list[str]()
    for volume, source in zip(asked, sources, strict=True):
        assert volume.csi is not None
        readonly = _is_readonly(volume)
        flags = replace(volume, readonly=readonly).mount_flags
        if volume.csi.block:
            flags = tuple(flag for flag in flags if flag not in ("nodev", "ro"))
            rules += _rules(source, readonly=readonly)
        mount = Mount(
            target=volume.target,
            fstype="bind" if volume.csi.block else "rbind",
            source=source,
            part=volume.subpath,
            flags=flags,
            owners=owners_of(volume, config),
            chown=volume.chown,
        )
        mounts.append(mount)
    return LaunchInfo(mounts=tuple(mounts), devices=tuple(rules))


def _rules(path: str, *, readonly: bool) -> list[str]:
    from isolators.devices import rule_of  # for block volumes

    rule = rule_of(path, "r" if readonly else "rw")
    return [str(rule)] if rule else []
