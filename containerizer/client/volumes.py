"""The volumes that an agent keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from containerizer.api.describing import NANOSECONDS
from containerizer.api.proto import extensions_pb2 as extensions
from containerizer.api.proto.agent_pb2 import Call
from containerizer.client.client import AgentClient
from containerizer.volumes.manager import VolumeInfo
from isolators.volume_store import VolumeRecord


class RemoteVolumes:
    """As containerizer.volumes.manager.Volumes, by the API. Each method raises ContainerizerError."""

    def __init__(self, client: AgentClient) -> None:
        self._client = client

    def create(
        self, name: str, *, driver: str, options: Mapping[str, str], labels: Mapping[str, str]
    ) -> VolumeInfo:
        asked = extensions.CreateVolume(name=name, driver=driver, options=options, labels=labels)
        return _info(self._client.call(Call(type=Call.CREATE_VOLUME, create_volume=asked)).create_volume)

    def all(self, filters: Sequence[str]) -> list[VolumeInfo]:
        asked = extensions.ListVolumes(filters=filters)
        answer = self._client.call(Call(type=Call.LIST_VOLUMES, list_volumes=asked))
        return list(map(_info, answer.list_volumes.volumes))

    def inspect(self, name: str) -> VolumeInfo:
        asked = extensions.InspectVolume(name=name)
        return _info(self._client.call(Call(type=Call.INSPECT_VOLUME, inspect_volume=asked)).inspect_volume)

    def remove(self, name: str, *, force: bool) -> None:
        asked = extensions.RemoveVolume(name=name, force=force)
        self._client.call(Call(type=Call.REMOVE_VOLUME, remove_volume=asked))

    def prune(self, filters: Sequence[str], *, everything: bool) -> list[VolumeInfo]:
        asked = extensions.PruneVolumes(all=everything, filters=filters)
        answer = self._client.call(Call(type=Call.PRUNE_VOLUMES, prune_volumes=asked))
        return list(map(_info, answer.prune_volumes.volumes))


def _info(message: extensions.NamedVolume) -> VolumeInfo:
    record = VolumeRecord(
        name=message.name,
        driver=message.driver,
        options=dict(message.options),
        labels=dict(message.labels),
        created_at=message.created_at.nanoseconds / NANOSECONDS,
        anonymous=message.anonymous,
    )
    return VolumeInfo(record=record, mountpoint=message.mountpoint, containers=tuple(message.containers))
