"""Volumes in a sandbox: directories that a container has, or that all in one container share.

They lie in a directory of their own beside what else a sandbox has, and no task sees that directory
itself; a name is one word. So no task can put a link where another's volume is bound from.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable

from launcher.container_id import ContainerId
from launcher.data import Data
from launcher.errors import InvalidRequest
from launcher.launch_info import Mount

DIRECTORY = "shared-volumes"


class SandboxVolume(Data, kw_only=True):
    """A directory of this name, made by the first who asks; it goes with the sandbox that it is in."""

    name: str
    target: str  # absolute, in the container
    of_parent: bool = False  # in the sandbox of the container around this one
    readonly: bool = False

    def __post_init__(self) -> None:
        try:
            ContainerId(self.name)
        except InvalidRequest as error:
            raise InvalidRequest(f"invalid name of a volume {self.name!r}", hint=error.hint) from None


def make(sandbox: str, volumes: Iterable[SandboxVolume]) -> None:
    """Have the directories be there. Everybody may write: whom its users run as nobody knows here."""
    for volume in volumes:
        path = _path(sandbox, volume)
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.mkdir(path)
            os.chmod(path, 0o777)  # noqa: S103


def mounts(sandbox: str, volumes: Iterable[SandboxVolume]) -> tuple[Mount, ...]:
    return tuple(
        Mount(
            target=volume.target,
            fstype="bind",
            source=_path(sandbox, volume),
            flags=("ro", "nodev") if volume.readonly else ("nodev",),
        )
        for volume in volumes
    )


def _path(sandbox: str, volume: SandboxVolume) -> str:
    """A nested container's sandbox is `containers/<name>` in its parent's: containerizer.paths."""
    own = os.path.dirname(os.path.dirname(sandbox)) if volume.of_parent else sandbox
    return os.path.join(own, DIRECTORY, volume.name)
