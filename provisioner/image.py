"""Image and Rootfs: what the provisioner gives to its callers, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from launcher.data import Data, fields
from launcher.launch_info import Mount


class Image(Data, kw_only=True):
    """An image that is in the store whole: each of its layers is unpacked and verified."""

    reference: str  # canonical; ImageReference.parse reads it
    digest: str  # "sha256:…" of the manifest for this platform
    config_digest: str  # "sha256:…" of the configuration: what Docker calls the image's ID
    platform: str  # "linux/amd64", "linux/arm/v7"
    layers: tuple[str, ...]  # the store's keys, bottom first: chain ids
    config: Mapping[str, Any]  # "config" of the OCI image configuration: Env, Cmd, User …
    size: int  # bytes of all files unpacked, shared layers counted too
    created: str | None  # RFC 3339, as the builder wrote it

    def to_json(self) -> dict[str, Any]:
        """A value for json.dumps; `from_json` is its inverse."""
        value = {field.name: getattr(self, field.name) for field in fields(self)}
        return value | {"layers": list(self.layers)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Image:
        """Raises KeyError for a missing field; unknown ones are a newer version's and ignored."""
        known = {field.name: value[field.name] for field in fields(cls)}
        return cls(**known | {"layers": tuple(value["layers"])})


class ImageUsage(Data, kw_only=True):
    """What an image takes, and who uses it."""

    image: Image
    shared: int  # bytes of layers that other images have, too
    used_at: float  # seconds since the epoch: pulled, or a container made of it
    containers: tuple[str, ...]  # that use it now


class Rootfs(Data, kw_only=True):
    """A container's root filesystem, as mounts still to be made."""

    path: str  # directory of the host that is the mount point
    mounts: tuple[Mount, ...]  # in order; targets are paths of the host
    inside: tuple[Mount, ...] = ()  # on top of it, before all others; targets are paths in it
