"""Mounts of a container, as a kubelet asks for them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Literal

from containerizer.cri.proto import containers_pb2 as messages
from isolators import answering, volume_propagation
from isolators.volumes import FLAGS, IMAGE, Volume, normalised
from launcher.errors import InvalidRequest
from launcher.launch_info import Mount

_PROPAGATION: Mapping[int, Literal["shared", "slave"] | None] = {
    messages.PROPAGATION_PRIVATE: None,
    messages.PROPAGATION_HOST_TO_CONTAINER: "slave",
    messages.PROPAGATION_BIDIRECTIONAL: "shared",
}
_OPTIONS = (*FLAGS, "nodev")


def mounts_of(asked: Sequence[messages.Mount], *, devices: bool = False) -> tuple[Mount, ...]:
    """Those around others first. `devices`: what is a device there may be used as one.

    Paths of the host are followed to what they lead to, and a directory is made where nothing is, as other
    runtimes do. Raises InvalidRequest, OSError.
    """
    of_host = [mount for mount in asked if not mount.image.image]
    in_order = sorted(of_host, key=lambda mount: os.path.normpath(mount.container_path).count("/"))
    return tuple(_mount(each, devices=devices) for each in in_order)


def image_volumes(asked: Sequence[messages.Mount], references: Mapping[str, str]) -> tuple[Volume, ...]:
    """Those of images, read-only as a kubelet has them; it has pulled them. `references`: their names here.

    Raises InvalidRequest.
    """
    writable = next((each for each in asked if each.image.image and not each.readonly), None)
    if writable is not None:
        hint = "set readonly"
        raise InvalidRequest(f"the image {writable.image.image} is to be mounted writable", hint=hint)
    return tuple(
        Volume(
            kind=IMAGE,
            source=references[each.image.image],
            target=normalised(each.container_path),
            subpath=each.image_sub_path,
            flags=tuple(option for option in _options(each) if option != "nodev"),  # as they are anyway
            readonly=True,
            pull="never",
        )
        for each in asked
        if each.image.image
    )


def idmapped(asked: Sequence[messages.Mount]) -> tuple[str, ...]:
    """The directories that show their owners by the pod's map: kubelets ask for it in pods with users."""
    mapped = (os.path.realpath(each.host_path) for each in asked if each.uidMappings or each.gidMappings)
    return tuple(dict.fromkeys(path for path in mapped if os.path.isdir(path)))


def _options(asked: messages.Mount) -> tuple[str, ...]:
    """Further ones, of all that is mounted. Raises InvalidRequest."""
    unknown = next((option for option in asked.mount_options if option not in _OPTIONS), None)
    if unknown is not None:
        hint = f"use some of {', '.join(_OPTIONS)}"
        raise InvalidRequest(f"unknown option {unknown!r} of the mount at {asked.container_path}", hint=hint)
    return tuple(dict.fromkeys(asked.mount_options))


def _mount(asked: messages.Mount, *, devices: bool) -> Mount:
    if not asked.container_path.startswith("/") or not asked.host_path.startswith("/"):
        raise InvalidRequest(f"a mount of {asked.host_path!r} at {asked.container_path!r} is not absolute")
    if asked.recursive_read_only and (not asked.readonly or asked.propagation):
        raise InvalidRequest(f"the mount at {asked.container_path} is read-only for all in it, and is not")
    answering.check(asked.host_path)
    source = os.path.realpath(asked.host_path)
    if not os.path.lexists(source):
        os.makedirs(source, mode=0o755, exist_ok=True)
    propagation = _PROPAGATION[asked.propagation]
    if propagation is not None:
        volume_propagation.check(source, propagation)
    is_device = devices or source == "/dev" or source.startswith("/dev/")
    readonly = ("ro",) if asked.readonly else ()
    options = _options(asked)
    shut = () if is_device or "dev" in options else ("nodev",)
    flags = dict.fromkeys((*shut, *(option for option in options if option != "dev")))
    return Mount(
        target="/" + os.path.normpath(asked.container_path).lstrip("/"),
        fstype="rbind",
        source=source,
        flags=(*(readonly if asked.recursive_read_only else ()), *flags),
        top_flags=() if asked.recursive_read_only else readonly,  # what is mounted below is left as it is
        propagation=propagation or "",
    )
