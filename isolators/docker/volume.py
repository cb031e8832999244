"""docker/volume: volumes of Docker's volume plug-ins, or of what dvdcli finds: network and cloud storage.

A volume is mounted on the host for the first container that has it, and unmounted after the last, whoever
cleans that up: isolators/mounted_volumes.py. What is in the container is a bind mount of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from isolators import answering, ownership, volumes
from isolators.driver_volumes import BRIEF, DriverVolumes, VolumeFailed, place
from isolators.flags import IsolatorFlags
from isolators.isolator import ContainerConfig
from isolators.volume_owners import owners_of
from isolators.volume_store import VolumeRecord, VolumeStore, is_name
from isolators.volumes import Volume
from launcher.container_id import ContainerId
from launcher.data import Data, replace
from launcher.errors import ContainerizerError, InvalidRequest
from launcher.kernel import filesystems
from launcher.launch_info import LaunchInfo, Mount

if TYPE_CHECKING:
    from isolators.docker.volume_driver import VolumeDriver
    from isolators.mounted_volumes import MountedVolume

_WORD = "docker_volumes"
_DIRECTORY = "docker-volumes"  # where it is noted what is mounted


class Mounted(Data):
    """A volume on the host."""

    source: str
    fresh: str = ""  # where a container has it for which it was mounted, and nothing was in it


class DockerVolume(DriverVolumes):
    name = "docker/volume"
    enforces = frozenset({_WORD})
    directory = _DIRECTORY
    told_as = "docker_volumes"
    tells = ("driver", "name", "mountpoint")

    @property
    def patience(self) -> float:
        return self.flags.docker_volume_timeout

    def called(self, record: Mapping[str, Any]) -> str:
        return f"{record['name']} of {record['driver']}"

    def prepare(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        asked = volumes.of(config, _WORD)
        if not asked:
            return LaunchInfo()
        _check(asked, config)
        holder = ownership.holder(self.flags, container_id)
        mounted: dict[tuple[str, str], Mounted] = {}
        for volume in sorted(asked, key=_which):  # so that no two wait crosswise
            if _which(volume) not in mounted:
                mounted[_which(volume)] = self._mounted(volume, holder)
        return LaunchInfo(mounts=tuple(_mount(each, mounted[_which(each)], config) for each in asked))

    def contribute(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        """In the place of a path, which only the plug-in will know, the name of the volume."""
        asked = volumes.of(config, _WORD)
        _check(asked, config)
        named = ((each, Mounted(f"{each.driver}:{each.source}")) for each in asked)
        return LaunchInfo(mounts=tuple(_mount(volume, mounted, config) for volume, mounted in named))

    def _mounted(self, volume: Volume, holder: str) -> Mounted:
        """Where it is, and has to stay for the holder. Raises ContainerizerError."""
        from isolators.docker import volume_driver

        known = self.known()
        driver = volume_driver.find(volume.driver, self.flags)
        key = known.key(volume.driver, volume.source)
        # As long as the one before may take.
        patience = 2 * self.flags.docker_volume_timeout + self.flags.docker_volume_retries
        with known.locked(key, patience, f"volume {volume.source} of {volume.driver}") as mounted:
            mounted.add(holder)
            options = self._noted(volume, holder)
            there = str((mounted.record or {}).get("mountpoint") or "")
            # Or the plug-in has been started again, say, and knows nothing of it.
            if there:
                answering.check(there)
            if there and volume_driver.is_there(there) and driver.path(volume.source) == there:
                return Mounted(there)
            source = self._mount_it(driver, volume, options, mounted)
            return Mounted(source, volume.target if volume_driver.is_empty(source) else "")

    def _noted(self, volume: Volume, holder: str) -> Mapping[str, str]:
        """Have it be among the volumes that people see; the options that it was made with."""
        options = dict(volume.options)
        if not is_name(volume.source):  # plug-ins may have others than we do
            return options
        record = VolumeRecord(
            name=volume.source,
            driver=volume.driver,
            options=options,
            labels=dict(volume.labels),
            anonymous=volume.anonymous,
        )
        return VolumeStore(self.flags.volumes).use(record, holder).options

    def _mount_it(
        self, driver: VolumeDriver, volume: Volume, options: Mapping[str, str], mounted: MountedVolume
    ) -> str:
        from isolators.docker import volume_driver
        from isolators.mounted_volumes import MountedVolumes

        key = MountedVolumes.key(volume.driver, volume.source)
        record: dict[str, Any] = {"driver": volume.driver, "name": volume.source, "id": key, "mountpoint": ""}
        # By which whoever unmounts it finds the plug-in again.
        record |= {"directories": self.flags.docker_plugins_dirs, "dvdcli": self.flags.dvdcli}
        mounted.write(record)
        driver.ensure(volume.source, options)
        mountpoint = driver.mount(volume.source, key)
        said = f"plug-in {volume.driver} has mounted the volume {volume.source} at {mountpoint!r:.200}"
        answering.check(mountpoint)
        if not volume_driver.is_there(mountpoint):
            raise VolumeFailed(f"{said}, where no directory is")
        if _is_around(mountpoint, (self.flags.own_state, self.flags.volumes)):  # its owner may be changed
            raise VolumeFailed(f"{said}, which is around the containerizer's own files")
        mounted.write({**record, "mountpoint": mountpoint})
        return mountpoint

    def left(self, volume: MountedVolume, holder: str | None) -> bool:
        """Unmount it if nobody but the holder has it; whether it was. Raises ContainerizerError."""
        from isolators.docker import volume_driver

        record = volume.record
        if record is None or set(volume.users()) - {holder}:
            return False
        try:
            known: dict[str, Any] = {
                "docker_plugins_dirs": tuple(record["directories"]),
                "dvdcli": record["dvdcli"],
            }
            if not record["mountpoint"]:  # half of it is for an unmount
                known |= {"docker_volume_timeout": 2 * BRIEF, "docker_volume_retries": 0.0}
            driver = volume_driver.find(record["driver"], replace(self.flags, **known))
            driver.unmount(record["name"], record["id"], None if record["mountpoint"] else BRIEF)
        except ContainerizerError:
            # It did not come about; or with its container the plug-in is gone, and what it had mounted.
            gone = holder is None and record["mountpoint"] not in filesystems.mount_points()
            if record["mountpoint"] and not gone:
                raise
        volume.clear()
        return True


def mountpoint(flags: IsolatorFlags, driver: str, name: str) -> str:
    """Where a volume is mounted on this host; "" if it is not, as far as we know."""
    from isolators.mounted_volumes import MountedVolumes

    record = MountedVolumes(place(flags, _DIRECTORY)).peek(MountedVolumes.key(driver, name))
    return str((record or {}).get("mountpoint") or "")


def _check(asked: Sequence[Volume], config: ContainerConfig) -> None:
    for volume in asked:
        volumes.check_place(volume, config)
        if not volume.source or volume.source.startswith("/") or "\0" in volume.source:
            hint = "a path of the host needs no driver"
            raise InvalidRequest(f"invalid name of a volume {volume.source!r} of {volume.driver}", hint=hint)


def _is_around(mountpoint: str, own: Iterable[str]) -> bool:
    """Whether these are in it, wherever links lead."""
    top = os.path.realpath(mountpoint)
    return any(volumes.is_below(os.path.realpath(each), top) for each in own)


def _which(volume: Volume) -> tuple[str, str]:
    return volume.driver, volume.source


def _mount(volume: Volume, mounted: Mounted, config: ContainerConfig) -> Mount:
    copied = not (volume.nocopy or volume.subpath) and config.rootfs is not None
    return Mount(
        target=volume.target,
        fstype="rbind",
        source=mounted.source,
        part=volume.subpath,
        flags=volume.mount_flags,
        propagation="" if "private" in volume.propagation else volume.propagation.removeprefix("r"),
        owners=owners_of(volume, config),
        populate=copied and mounted.fresh == volume.target,
        chown=volume.chown,
    )
