"""Volumes of CSI, as the API carries them: those of `static_provisioning`, which somebody has made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from containerizer.api import secrets
from containerizer.api.errors import BadRequest
from containerizer.api.proto import containers_pb2 as containers
from containerizer.api.proto import values_pb2 as values
from isolators.csi import CsiVolume
from isolators.secrets import Secret, decoded, encoded
from isolators.volumes import Volume

CSIVolume = containers.Volume.Source.CSIVolume

_SECRETS = {"node_stage_secrets": "stage_secrets", "node_publish_secrets": "publish_secrets"}


def asked(message: CSIVolume, target: str, publish_context: Mapping[str, str]) -> dict[str, Any]:
    """Of a Volume: what it is. Raises BadRequest, InvalidRequest."""
    if not message.HasField("static_provisioning"):
        raise BadRequest(f"the CSI volume at {target} has no 'static_provisioning'", hint="none is made here")
    static = message.static_provisioning
    capability = static.volume_capability
    if capability.WhichOneof("access_type") is None:
        raise BadRequest(f"the CSI volume at {target} is neither 'block' nor 'mount'")
    given = {
        field: {name: _secret(secret, target) for name, secret in getattr(static, theirs).items()}
        for theirs, field in _SECRETS.items()
    }
    csi = CsiVolume(
        access_mode=CSIVolume.VolumeCapability.AccessMode.Mode.Name(capability.access_mode.mode),
        block=capability.HasField("block"),
        fs_type=capability.mount.fs_type,
        mount_flags=tuple(capability.mount.mount_flags),
        volume_context=dict(static.volume_context),
        publish_context=dict(publish_context),
        **given,
    )
    return {"driver": message.plugin_name, "source": static.volume_id, "csi": csi}


def fill(message: CSIVolume, volume: Volume) -> None:
    """As `asked` reads it, but for what attached it to the host. Raises InvalidRequest."""
    csi = volume.csi or CsiVolume()
    message.plugin_name = volume.driver
    static = message.static_provisioning
    static.volume_id = volume.source
    mode = CSIVolume.VolumeCapability.AccessMode(mode=csi.access_mode)
    static.volume_capability.access_mode.CopyFrom(mode)
    if csi.block:
        static.volume_capability.block.SetInParent()
    else:
        static.volume_capability.mount.fs_type = csi.fs_type
        static.volume_capability.mount.mount_flags.extend(csi.mount_flags)
    static.volume_context.update(csi.volume_context)
    for theirs, field in _SECRETS.items():
        for name, secret in getattr(csi, field).items():
            value = secret.reference or decoded(secret.content or "")
            secrets.fill(getattr(static, theirs)[name], value)


def _secret(secret: values.Secret, target: str) -> Secret:
    value = secrets.asked(secret, f"the CSI volume at {target}")
    return Secret(content=encoded(value)) if isinstance(value, bytes) else Secret(reference=value)
