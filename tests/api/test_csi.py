"""Volumes of CSI, as the predecessor's API and ours carry them."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict

from containerizer.api import volumes
from containerizer.api.errors import BadRequest
from containerizer.api.proto import containers_pb2 as containers
from containerizer.api.proto import extensions_pb2 as extensions
from isolators.csi import CsiVolume
from isolators.secrets import Secret, SecretReference, encoded
from isolators.volumes import CSI, Volume
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest

STATIC: dict[str, Any] = {
    "volume_id": "vol-1",
    "volume_capability": {
        "mount": {"fs_type": "ext4", "mount_flags": ["noatime"]},
        "access_mode": {"mode": "MULTI_NODE_READER_ONLY"},
    },
    "node_stage_secrets": {"k": {"type": "REFERENCE", "reference": {"name": "storage", "key": "k"}}},
    "node_publish_secrets": {
        "t": {"type": "VALUE", "value": {"data": base64.b64encode(b"hunter2").decode()}}
    },
    "volume_context": {"pool": "fast"},
}
ASKED = Volume(
    kind=CSI,
    target="/data",
    source="vol-1",
    driver="nfs",
    readonly=True,
    csi=CsiVolume(
        access_mode="MULTI_NODE_READER_ONLY",
        fs_type="ext4",
        mount_flags=("noatime",),
        volume_context={"pool": "fast"},
        stage_secrets={"k": Secret(reference=SecretReference(name="storage", key="k"))},
        publish_secrets={"t": Secret(content=encoded(b"hunter2"))},
    ),
)
BLOCK = Volume(
    kind=CSI,
    target="/dev/data",
    source="vol-2",
    driver="lvm",
    csi=CsiVolume(block=True, access_mode="SINGLE_NODE_MULTI_WRITER", publish_context={"lun": "7"}),
)


def of_container(**static: Any) -> list[containers.Volume]:
    source: dict[str, Any] = {"type": "CSI_VOLUME", "csi_volume": {"plugin_name": "nfs"}}
    if static:
        source["csi_volume"]["static_provisioning"] = static
    said = {"container_path": "/data", "mode": "RO", "source": source}
    return [ParseDict(said, containers.Volume())]


def test_in_the_predecessors_words() -> None:
    assert volumes.asked(ContainerId("one"), of_container(**STATIC), ()) == (ASKED,)


@pytest.mark.parametrize("volume", [ASKED, BLOCK])
def test_what_our_client_asks_for_comes_as_it_was(volume: Volume) -> None:
    launch = extensions.LaunchOptions()
    volumes.add(launch.volumes, (volume,))
    sent = extensions.LaunchOptions.FromString(launch.SerializeToString())
    assert volumes.asked(ContainerId("one"), (), sent.volumes) == (volume,)


@pytest.mark.parametrize(
    ("static", "told"),
    [
        ({}, "has no 'static_provisioning'"),
        ({**STATIC, "volume_capability": {"access_mode": {"mode": "SINGLE_NODE_WRITER"}}}, "neither 'block'"),
        (
            {**STATIC, "volume_capability": {"mount": {}, "access_mode": {"mode": "UNKNOWN"}}},
            "unknown access mode",
        ),
        ({**STATIC, "node_stage_secrets": {"k": {"type": "VALUE"}}}, "neither a value nor a reference"),
    ],
)
def test_bad_ones_are_refused(static: dict[str, Any], told: str) -> None:
    with pytest.raises((BadRequest, InvalidRequest), match=told):
        volumes.asked(ContainerId("one"), of_container(**static), ())
