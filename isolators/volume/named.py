"""volume/named: volumes that have a name and outlive containers, kept in a directory of our own.

One that is not there yet is made, and begins with what the first container's image has in its place. As long
as a container has it, it is not removed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from isolators import ownership, volume_mounts
from isolators.isolator import ContainerConfig, Isolator, IsolatorFlags
from isolators.volume_owners import owners_of
from isolators.volume_store import NoSuchVolume, VolumeRecord, VolumeStore, check_name
from isolators.volumes import LOCAL, Volume, allowed, check_place, of, source_of
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest
from launcher.kernel import files
from launcher.launch_info import LaunchInfo, Mount, Owners

_MOUNTED = "mounted-volumes"  # in the directory of a container's state: names of those with a filesystem
_LARGEST = 1 << 20  # bytes of that


class VolumeNamed(Isolator):
    name = "volume/named"
    enforces = frozenset({"named_volumes"})
    requires = ("filesystem/linux",)

    def __init__(self, flags: IsolatorFlags) -> None:
        super().__init__(flags)
        self._store = VolumeStore(flags.volumes)

    def contribute(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        return LaunchInfo(mounts=tuple(self._mount(each, config) for each in of(config, "named_volumes")))

    def create(self, container_id: ContainerId, config: ContainerConfig) -> None:
        volumes = of(config, "named_volumes")
        if not volumes:
            return
        holder = ownership.holder(self.flags, container_id)
        for volume in volumes:  # all of them before one is made
            self._mount(volume, config)
            volume_mounts.check(dict(volume.options))
        for volume in volumes:
            record = self._store.use(_record(volume), holder)
            if volume_mounts.is_filesystem(record.options):
                _note(holder, record.name)
                volume_mounts.mount(self._store, record, holder)

    def cleanup(self, container_id: ContainerId) -> None:
        holder = ownership.holder(self.flags, container_id)
        for name in _noted(holder):
            volume_mounts.release(self._store, name, holder)

    def recover(self, is_there: Callable[[ContainerId], bool]) -> Sequence[str]:
        left = [*self._store.sweep(), *volume_mounts.sweep(self._store)]
        return [f"what was left of the volume {name}" for name in left]

    def _mount(self, volume: Volume, config: ContainerConfig) -> Mount:
        check_place(volume, config)
        options = self._options(volume)
        fstype, flags = "bind", volume.mount_flags
        where: dict[str, Any] = {"source": self._store.data(volume.source), "part": volume.subpath}
        if options.get("device", "").startswith("/"):
            allowed(options["device"], self.flags)
        if volume_mounts.is_bind(options):
            fstype, further = volume_mounts.bind_of(options)
            where = source_of(options["device"], volume.subpath, self.flags)
            flags = tuple(dict.fromkeys((*flags, *further)))
        return Mount(
            target=volume.target,
            fstype=fstype,
            **where,
            flags=flags,
            # Root's files are root's in every container, whoever that is on the host.
            owners=owners_of(volume, config) or Owners(),
            populate=not (volume.nocopy or volume.subpath or options) and config.rootfs is not None,
            once=self._store.populated(volume.source),
            chown=volume.chown,
        )

    def _options(self, volume: Volume) -> Mapping[str, str]:
        """As it was created, or is to be. Raises InvalidRequest."""
        check_name(volume.source)
        try:
            record = self._store.find(volume.source)
        except NoSuchVolume:
            return dict(volume.options)
        if record.driver != LOCAL:
            raise InvalidRequest(
                f"volume {volume.source} is of the driver {record.driver}",
                hint=f"name it: --volume-driver {record.driver}",
            )
        return record.options


def _note(holder: str, name: str) -> None:
    """Before it is mounted."""
    with open(os.path.join(holder, _MOUNTED), "a", encoding="utf-8") as file:
        file.write(f"{name}\n")


def _noted(holder: str) -> list[str]:
    try:
        return files.read(f"{holder}/{_MOUNTED}", _LARGEST).decode().split()
    except (FileNotFoundError, NotADirectoryError):
        return []


def _record(volume: Volume) -> VolumeRecord:
    return VolumeRecord(
        name=volume.source,
        options=dict(volume.options),
        labels=dict(volume.labels),
        anonymous=volume.anonymous,
    )
