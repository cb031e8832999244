"""Volumes that a client asks for: what is bound where, or a refusal that names the field.

Host paths and directories of sandboxes are served. A host path is the client's choice, as everything
that root may read is: who may not have that gets no LAUNCH_* from the agent's ACLs.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable

from containerizer.api.errors import BadRequest
from containerizer.api.proto import containers_pb2 as containers
from containerizer.request import HOST
from containerizer.sandbox_volumes import SandboxVolume
from launcher.container_id import ContainerId
from launcher.launch_info import Mount

Source = containers.Volume.Source

_RESERVED = ("/proc", "/sys", "/dev")  # mounts of our own are there


class Volumes:
    """What a request's volumes come to."""

    def __init__(self, container_id: ContainerId, image: str, asked: Iterable[containers.Volume]) -> None:
        """Raises BadRequest."""
        self.mounts: tuple[Mount, ...] = ()
        self.in_sandboxes: tuple[SandboxVolume, ...] = ()
        targets: set[str] = set()
        for volume in asked:
            target = _target(volume.container_path, image)
            if target in targets:
                raise BadRequest(f"two volumes have the 'container_path' {target}")
            targets.add(target)
            self._add(container_id, volume, target)

    def _add(self, container_id: ContainerId, volume: containers.Volume, target: str) -> None:
        readonly = volume.mode == containers.Volume.RO
        if volume.HasField("image"):
            raise BadRequest("'volumes.image' is not supported", hint="run a container on the image")
        if volume.source.type == Source.SANDBOX_PATH:
            self.in_sandboxes += (_in_sandbox(container_id, volume.source, target, readonly=readonly),)
        else:
            flags = ("ro", "nodev") if readonly else ("nodev",)
            self.mounts += (Mount(target=target, fstype="rbind", source=_host_path(volume), flags=flags),)


def _host_path(volume: containers.Volume) -> str:
    if volume.source.type not in (Source.UNKNOWN, Source.HOST_PATH):
        kind = Source.Type.Name(volume.source.type)
        raise BadRequest(
            f"'volumes.source.type' {kind} is not supported", hint="HOST_PATH and SANDBOX_PATH are"
        )
    if volume.source.host_path.HasField("mount_propagation"):
        raise BadRequest("'volumes.source.host_path.mount_propagation' is not supported")
    path = volume.source.host_path.path or volume.host_path
    if not path.startswith("/") or ".." in path.split("/") or "\0" in path:
        hint = "write an absolute path without '..'; SANDBOX_PATH has directories of the sandbox"
        raise BadRequest(f"the 'host_path' {path!r} of a volume is invalid", hint=hint)
    if not os.path.exists(path):
        raise BadRequest(f"the 'host_path' {path!r} of a volume is not there")
    return path


def _in_sandbox(container_id: ContainerId, source: Source, target: str, *, readonly: bool) -> SandboxVolume:
    asked = source.sandbox_path
    of_parent = asked.type == Source.SandboxPath.PARENT
    if of_parent and container_id.parent is None:
        raise BadRequest("'volumes.source.sandbox_path.type' is PARENT, and the container is in none")
    if "/" in asked.path:
        hint = "give it one name: what a task may write could be a link by the time that it is bound"
        raise BadRequest(f"the 'sandbox_path' {asked.path!r} has a slash", hint=hint)
    return SandboxVolume(name=asked.path, target=target, of_parent=of_parent, readonly=readonly)


def _target(path: str, image: str) -> str:
    target = posixpath.normpath(path)
    taken = any(target == place or target.startswith(f"{place}/") for place in _RESERVED)
    if not path.startswith("/") or path.startswith("//") or ".." in path.split("/") or "\0" in path:
        raise BadRequest(f"the 'container_path' {path!r} of a volume is no absolute path without '..'")
    if target == "/" or taken:
        raise BadRequest(f"the 'container_path' {path!r} of a volume is where mounts of our own are")
    if image == HOST and not os.path.exists(target):
        hint = "make it, or run on an image"
        raise BadRequest(f"the 'container_path' {path!r} is not there on the host's filesystem", hint=hint)
    return target
