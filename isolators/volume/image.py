"""volume/image: the files of an image in a container that runs on another one.

Read-only, or with what the container writes beside its own files, which goes with it. The image's layers
are kept as long as the container is there.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from isolators.isolator import ContainerConfig, Isolator
from isolators.volumes import Volume, check_place, of
from launcher.container_id import ContainerId
from launcher.kernel import process
from launcher.launch_info import LaunchInfo, Mount, Owners

DIRECTORY = "image-volumes"  # in the sandbox


class VolumeImage(Isolator):
    name = "volume/image"
    enforces = frozenset({"image_volumes"})
    requires = ("filesystem/linux",)

    def contribute(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        volumes = of(config, "image_volumes")
        return LaunchInfo(mounts=tuple(_mount(each, n, config) for n, each in enumerate(volumes)))

    def create(self, container_id: ContainerId, config: ContainerConfig) -> None:
        for number, volume in enumerate(of(config, "image_volumes")):
            layers = config.image_layers[volume.source]
            if not volume.readonly or not layers:
                upper, work = _own(config, number)
                os.makedirs(work, 0o700)
                _make_like(upper, layers)


def _mount(volume: Volume, number: int, config: ContainerConfig) -> Mount:
    check_place(volume, config)
    layers = config.image_layers[volume.source]
    upper, work = _own(config, number)
    if not layers or (volume.readonly and len(layers) == 1):
        fstype, source = "bind", layers[0] if layers else upper
        options: tuple[tuple[str, str], ...] = ()
    else:
        fstype, source = "overlay", "overlay"
        own = () if volume.readonly else (("upperdir", upper), ("workdir", work))
        user = (("userxattr", ""),) if process.is_rootless() else ()
        options = (*(("lowerdir+", layer) for layer in reversed(layers)), *own, *user)
    return Mount(
        target=volume.target,
        fstype=fstype,
        source=source,
        part=volume.subpath,
        flags=volume.mount_flags,
        options=options,
        owners=Owners(),  # as those of the image that it runs on
    )


def _own(config: ContainerConfig, number: int) -> tuple[str, str]:
    directory = os.path.join(config.sandbox, DIRECTORY, str(number))
    return os.path.join(directory, "upper"), os.path.join(directory, "work")


def _make_like(upper: str, layers: Sequence[str]) -> None:
    """The topmost directory gives the volume its owner and mode, so it takes the image's."""
    os.mkdir(upper, 0o755)
    if layers:
        status = os.stat(layers[-1])
        os.chown(upper, status.st_uid, status.st_gid)
        os.chmod(upper, status.st_mode & 0o7777)
