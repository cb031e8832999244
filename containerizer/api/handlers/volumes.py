"""Calls on the volumes that an agent keeps."""

from __future__ import annotations

from containerizer.api.context import Context
from containerizer.api.describing import NANOSECONDS
from containerizer.api.proto import agent_pb2 as agent
from containerizer.api.proto import extensions_pb2 as extensions
from containerizer.volumes.manager import VolumeInfo, Volumes
from isolators.volumes import LOCAL

Response = agent.Response


async def create_volume(context: Context, call: agent.Call) -> Response:
    asked = call.create_volume

    def create(volumes: Volumes) -> VolumeInfo:
        return volumes.create(
            asked.name, driver=asked.driver or LOCAL, options=dict(asked.options), labels=dict(asked.labels)
        )

    made = await context.engine.volumes(create)
    return Response(type=Response.CREATE_VOLUME, create_volume=_message(made))


async def list_volumes(context: Context, call: agent.Call) -> Response:
    found = await context.engine.volumes(lambda volumes: volumes.all(call.list_volumes.filters))
    answer = Response(type=Response.LIST_VOLUMES)
    answer.list_volumes.SetInParent()
    answer.list_volumes.volumes.extend(map(_message, found))
    return answer


async def inspect_volume(context: Context, call: agent.Call) -> Response:
    found = await context.engine.volumes(lambda volumes: volumes.inspect(call.inspect_volume.name))
    return Response(type=Response.INSPECT_VOLUME, inspect_volume=_message(found))


async def remove_volume(context: Context, call: agent.Call) -> None:
    asked = call.remove_volume
    await context.engine.volumes(lambda volumes: volumes.remove(asked.name, force=asked.force))


async def prune_volumes(context: Context, call: agent.Call) -> Response:
    asked = call.prune_volumes
    gone = await context.engine.volumes(
        lambda volumes: volumes.prune(tuple(asked.filters), everything=asked.all)
    )
    answer = Response(type=Response.PRUNE_VOLUMES)
    answer.prune_volumes.SetInParent()
    answer.prune_volumes.volumes.extend(map(_message, gone))
    return answer


def _message(info: VolumeInfo) -> extensions.NamedVolume:
    record = info.record
    told = extensions.NamedVolume(
        name=record.name,
        driver=record.driver,
        options=record.options,
        labels=record.labels,
        mountpoint=info.mountpoint,
        anonymous=record.anonymous,
        containers=info.containers,
    )
    told.created_at.nanoseconds = int(record.created_at * NANOSECONDS)
    return told
