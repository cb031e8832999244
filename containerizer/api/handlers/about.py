"""Calls about the agent itself: its health, flags, version, metrics, and its logging level."""

from __future__ import annotations

import asyncio
import math
import os
from importlib import metadata

from containerizer.api.context import Context
from containerizer.api.describing import NANOSECONDS
from containerizer.api.limits import MEBIBYTE
from containerizer.api.proto import agent_pb2 as agent
from containerizer.api.proto import resources_pb2 as resources
from containerizer.api.proto import tasks_pb2 as tasks
from containerizer.api.proto import values_pb2 as values

Response = agent.Response


async def get_health(_: Context, __: agent.Call) -> Response:
    return Response(type=Response.GET_HEALTH, get_health=Response.GetHealth(healthy=True))


async def get_flags(context: Context, _: agent.Call) -> Response:
    flags = [values.Flag(name=name, value=value) for name, value in sorted(context.flags.items())]
    return Response(type=Response.GET_FLAGS, get_flags=Response.GetFlags(flags=flags))


async def get_version(_: Context, __: agent.Call) -> Response:
    info = values.VersionInfo(version=metadata.version("containerizer"))
    return Response(type=Response.GET_VERSION, get_version=Response.GetVersion(version_info=info))


async def get_metrics(context: Context, call: agent.Call) -> Response:
    """With a timeout, what was not measured by then is left out: here that is all."""
    asked = call.get_metrics
    limit = asked.timeout.nanoseconds / NANOSECONDS if asked.HasField("timeout") else None
    measured = {}
    try:
        async with asyncio.timeout(limit):
            measured = dict(await context.metrics())
    except TimeoutError:
        pass
    metrics = [
        values.Metric(name=name, value=value)
        for name, value in sorted(measured.items())
        if math.isfinite(value)
    ]
    return Response(type=Response.GET_METRICS, get_metrics=Response.GetMetrics(metrics=metrics))


async def get_logging_level(context: Context, _: agent.Call) -> Response:
    level = Response.GetLoggingLevel(level=context.logging.level)
    return Response(type=Response.GET_LOGGING_LEVEL, get_logging_level=level)


async def set_logging_level(context: Context, call: agent.Call) -> None:
    asked = call.set_logging_level
    context.logging.toggle(asked.level, asked.duration.nanoseconds / NANOSECONDS)


async def get_agent(context: Context, _: agent.Call) -> Response:
    """What a master would be told, had this agent one: its host and what that has."""
    info = tasks.AgentInfo(hostname=context.hostname, port=context.port)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / MEBIBYTE
    for name, amount in (("cpus", float(os.cpu_count() or 1)), ("mem", memory)):
        scalar = values.Value.Scalar(value=amount)
        info.resources.append(resources.Resource(name=name, type=values.Value.SCALAR, scalar=scalar))
    return Response(type=Response.GET_AGENT, get_agent=Response.GetAgent(agent_info=info))
