"""Calls on the images of the agent's store."""

from __future__ import annotations

import datetime
from typing import Any

from containerizer.api import launching, pull_credentials
from containerizer.api.context import Context
from containerizer.api.describing import NANOSECONDS
from containerizer.api.errors import BadRequest
from containerizer.api.proto import agent_pb2 as agent
from containerizer.api.proto import extensions_pb2 as extensions
from containerizer.request import PULL_POLICIES
from provisioner.image import Image
from provisioner.store.prune import Criteria

Response = agent.Response


async def list_images(context: Context, _: agent.Call) -> Response:
    answer = Response(type=Response.LIST_IMAGES)
    answer.list_images.SetInParent()
    answer.list_images.images.extend(map(_info, await context.engine.images.all()))
    return answer


async def pull_image(context: Context, call: agent.Call) -> Response:
    asked = call.pull_image
    policy: Any = asked.pull or "always"
    if policy not in PULL_POLICIES:
        raise BadRequest(f"invalid pull policy {policy!r}", hint=f"use one of {', '.join(PULL_POLICIES)}")
    credentials = None
    if asked.HasField("config"):
        credentials = await pull_credentials.of_config(context, asked.config, asked.name)
    image = await context.engine.images.pull(
        asked.name, policy=policy, platform=asked.platform or None, credentials=credentials
    )
    return Response(type=Response.PULL_IMAGE, pull_image=_info(image))


async def remove_image(context: Context, call: agent.Call) -> None:
    await context.engine.images.remove(call.remove_image.name)


async def prune_images(context: Context, call: agent.Call) -> None:
    """All that no container uses, but those that are excluded, here or by --image_gc_config."""
    gc = context.engine.settings.image_gc
    asked = tuple(map(launching.name_of, call.prune_images.excluded_images))
    excluded = (*asked, *(gc.excluded if gc is not None else ()))
    await context.engine.images.prune(Criteria(everything=True, excluded=excluded))


def _info(image: Image) -> extensions.ImageInfo:
    told = extensions.ImageInfo(
        id=image.config_digest, names=[image.reference], size=image.size, platform=image.platform
    )
    if image.created:
        try:
            created = datetime.datetime.fromisoformat(image.created)
        except ValueError:  # builders write what they like
            return told
        told.created_at.nanoseconds = int(created.timestamp()) * NANOSECONDS
    return told
