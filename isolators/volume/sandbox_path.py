"""volume/sandbox_path: directories of a sandbox, the container's own or that of the container around it.

So the containers in one share files, and they go with it. They lie in a directory of their own beside what
else a sandbox has, and no task sees that directory itself; a name is one word. So no task can put a link
where another's volume is bound from.
"""

from __future__ import annotations

import contextlib
import os

from isolators.isolator import ContainerConfig, Isolator
from isolators.volumes import Volume, check_place, of
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest
from launcher.launch_info import LaunchInfo, Mount, Owners

DIRECTORY = "shared-volumes"


class VolumeSandboxPath(Isolator):
    name = "volume/sandbox_path"
    enforces = frozenset({"sandbox_volumes"})
    requires = ("filesystem/linux",)

    def contribute(self, container_id: ContainerId, config: ContainerConfig) -> LaunchInfo:
        return LaunchInfo(mounts=tuple(_mount(each, config) for each in of(config, "sandbox_volumes")))

    def create(self, container_id: ContainerId, config: ContainerConfig) -> None:
        """Everybody may write: whom its users run as nobody knows here."""
        for volume in of(config, "sandbox_volumes"):
            path = _path(volume, config)
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                os.mkdir(path)
                os.chmod(path, 0o777)  # noqa: S103


def _mount(volume: Volume, config: ContainerConfig) -> Mount:
    check_place(volume, config)
    return Mount(
        target=volume.target,
        fstype="bind",
        source=_path(volume, config),
        part=volume.subpath,
        flags=volume.mount_flags,
        owners=Owners(),  # one sandbox may have users of several containers
        chown=volume.chown,
    )


def _path(volume: Volume, config: ContainerConfig) -> str:
    """A nested container's sandbox is `containers/<name>` in its parent's: containerizer.paths."""
    if volume.of_parent and config.parent is None:
        hint = "run it in a container, as PARENT.NAME, or leave out `parent`"
        raise InvalidRequest(f"the volume {volume.source} is of a parent's, and there is none", hint=hint)
    own = os.path.dirname(os.path.dirname(config.sandbox)) if volume.of_parent else config.sandbox
    return os.path.join(own, DIRECTORY, _name(volume))


def _name(volume: Volume) -> str:
    try:
        return ContainerId(volume.source).name
    except InvalidRequest as error:
        raise InvalidRequest(f"invalid name of a volume {volume.source!r}", hint=error.hint) from None
