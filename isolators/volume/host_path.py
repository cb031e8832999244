"""volume/host_path: files and directories of the host's in a container, where a request names them.

A file, a socket, a directory with what is mounted below it, or a device, which may then be used. What a
task makes in a directory that looks like a device opens nothing. Operators may say where sources have to
be, and where missing ones are made.
"""

from __future__ import annotations

import os
import stat

from isolators import answering, volume_propagation
from isolators.devices import rule_of
from isolators.isolator import ContainerConfig, Isolator
from isolators.volume_owners import has_own_users, owners_of
from isolators.volumes import Volume, allowed, check_place, is_below, of, source_of
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest
from launcher.kernel import safe_path
from launcher.launch_info import LaunchInfo, Mount

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_MODE = 0o755  # of a directory that is made, as Docker has it


class VolumeHostPath(Isolator):
    name = "volume/host_path"
    enforces = frozenset({"host_path_volumes"})
    requires = ("filesystem/linux",)  # they are mounted in a mount namespace of the container's own

    def contribute(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        volumes = of(config, "host_path_volumes")
        if not volumes:
            return LaunchInfo()
        rules = (rule_of(each.source, "r" if each.readonly else "rw") for each in volumes)
        return LaunchInfo(
            mounts=tuple(self._mount(each, config) for each in volumes),
            devices=tuple(str(rule) for rule in rules if rule is not None),
        )

    def create(self, container_id: ContainerId, config: ContainerConfig) -> None:
        for volume in of(config, "host_path_volumes"):
            within = allowed(volume.source, self.flags)
            answering.check(volume.source)
            if not os.path.lexists(volume.source):
                self._make(volume, within)

    def _mount(self, volume: Volume, config: ContainerConfig) -> Mount:
        check_place(volume, config)
        _check_propagation(volume, config)
        flags = tuple(flag for flag in volume.mount_flags if flag != "nodev" or not _is_device(volume))
        at_top = volume.readonly and volume.recursive == "writable"
        return Mount(
            target=volume.target,
            fstype="bind" if volume.recursive == "disabled" else "rbind",
            **source_of(volume.source, volume.subpath, self.flags),
            flags=tuple(flag for flag in flags if flag != "ro") if at_top else flags,
            top_flags=("ro",) if at_top else (),
            propagation="" if "private" in volume.propagation else volume.propagation.removeprefix("r"),
            owners=owners_of(volume, config),
            chown=volume.chown,
        )

    def _make(self, volume: Volume, within: str | None) -> None:
        forced = self.flags.host_path_volume_force_creation
        if not volume.create and not any(is_below(volume.source, directory) for directory in forced):
            hint = "make it first; `-v` makes a directory, `--mount type=bind` does not"
            raise InvalidRequest(f"the source of a volume is not there: {volume.source}", hint=hint)
        try:
            if within is None:
                os.makedirs(volume.source, _MODE, exist_ok=True)
            else:
                _make_below(within, os.path.relpath(volume.source, within))
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise InvalidRequest(f"cannot make the source of a volume {volume.source}: {why}") from error


def _make_below(directory: str, path: str) -> None:
    root = os.open(directory, _DIRECTORY)
    try:
        os.close(safe_path.make_directories(root, path, _MODE))
    finally:
        os.close(root)


def _check_propagation(volume: Volume, config: ContainerConfig) -> None:
    """Raises InvalidRequest for what the kernel would not do, or not say."""
    asked = volume.propagation.removeprefix("r")
    if volume.recursive == "readonly" and not volume.readonly:
        raise InvalidRequest(
            f"the volume at {volume.target} is to be read-only below, and not itself",
            hint="add readonly, or leave out bind-recursive=readonly",
        )
    if asked in ("", "private"):
        return
    if volume.recursive == "readonly":
        hint = "use bind-propagation=rprivate with it"
        raise InvalidRequest(
            f"what is mounted on {volume.source} later could be written to at {volume.target}", hint=hint
        )
    if asked == "shared" and has_own_users(config):
        hint = "use slave, or leave out --userns"
        raise InvalidRequest("mounts of a container with users of its own cannot be shared", hint=hint)
    volume_propagation.check(volume.source, "shared" if asked == "shared" else "slave")


def _is_device(volume: Volume) -> bool:
    try:
        mode = os.stat(volume.source).st_mode
    except OSError:
        return False
    return stat.S_ISCHR(mode) or stat.S_ISBLK(mode)
