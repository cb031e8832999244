"""Calls that launch, wait for, signal, change, list and remove containers."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from containerizer.api import (
    checking,
    describing,
    environment,
    launching,
    limits,
    measuring,
    networks,
    pull_credentials,
)
from containerizer.api.context import Context
from containerizer.api.describing import NANOSECONDS
from containerizer.api.errors import ApiError, BadRequest, NotFound
from containerizer.api.ids import to_id, to_message
from containerizer.api.proto import agent_pb2 as agent
from containerizer.api.proto import statistics_pb2 as statistics
from containerizer.api.proto.containers_pb2 import CommandInfo
from containerizer.api.proto.values_pb2 import ContainerID
from containerizer.containerizer import Containerizer
from containerizer.liveness import is_running
from containerizer.nested import ExecRequest
from containerizer.record import ContainerRecord, NoSuchContainer
from containerizer.remote import STOP_TIMEOUT, DestroyTimeout, NotRunning, RemoteContainer
from containerizer.volumes import resolving
from isolators.resources import Usage
from launcher.container_id import ContainerId
from launcher.data import asdict, replace
from launcher.errors import ContainerizerError

Response = agent.Response


class NotRemoved(ApiError):
    """The container runs, or nobody knows it; the predecessor's status for both."""

    status = 500


class LaunchRefused(ApiError):
    """The launch failed, whatever the cause; nothing is left of the container."""

    status = 400


# Launch ------------------------------------------------------------------------------------------


async def launch_container(context: Context, call: agent.Call) -> HTTPStatus:
    """With a parent in its id it is nested; without, it stands alone."""
    return await launch(context, call.launch_container)


async def launch_nested_container(context: Context, call: agent.Call) -> HTTPStatus:
    return await launch(context, of_nested(call.launch_nested_container))


def of_nested(
    older: agent.Call.LaunchNestedContainer | agent.Call.LaunchNestedContainerSession,
) -> agent.Call.LaunchContainer:
    """The call of today that an older one stands for. Raises BadRequest."""
    require_parent(older.container_id)
    asked = agent.Call.LaunchContainer(container_id=older.container_id)
    if older.HasField("command"):
        asked.command.CopyFrom(older.command)
    if older.HasField("container"):
        asked.container.CopyFrom(older.container)
    return asked


def require_parent(container_id: ContainerID) -> None:
    """Raises BadRequest."""
    if not container_id.HasField("parent"):
        raise BadRequest("expecting 'container_id.parent' to be present")


async def launch(context: Context, asked: agent.Call.LaunchContainer) -> HTTPStatus:
    """200, or 202 where it has been launched before."""
    container_id = to_id(asked.container_id)
    if await known(context, container_id):
        return HTTPStatus.ACCEPTED
    await launch_now(context, container_id, asked)
    return HTTPStatus.OK


async def launch_now(
    context: Context,
    container_id: ContainerId,
    asked: agent.Call.LaunchContainer,
    first: Callable[[Containerizer], object] | None = None,
) -> None:
    """`first` as in Engine.launch. Raises BadRequest, LaunchRefused."""
    request = launching.container_request(container_id, asked)
    if request.config.volumes:
        request = resolving.resolved(request, context.engine.paths)
    stdio = launching.stdio_of(launching.tty_of(asked.container), stdin=asked.options.stdin)
    asked_checks = checking.asked_of(asked.options)
    credentials = await pull_credentials.of_container(context, asked.container)

    def by_image(image_config: Mapping[str, Any]) -> Callable[[Containerizer], object] | None:
        checks = checking.with_image(asked_checks, request.health, image_config)

        def prepare(owner: Containerizer) -> None:
            context.checker.keep(container_id, checks)
            if first is not None:
                first(owner)

        return prepare if checks or first else None

    try:
        await context.engine.launch(request, stdio, by_image=by_image, credentials=credentials)
    except (ContainerizerError, OSError) as error:
        raise LaunchRefused(str(error)) from error


async def known(context: Context, container_id: ContainerId) -> bool:
    with contextlib.suppress(NoSuchContainer):
        await context.engine.record(container_id)
        return True
    return False


async def execute(context: Context, call: agent.Call) -> Response:
    asked = call.exec
    request = exec_request(asked.command, working_directory=asked.working_directory or None)
    tty = asked.tty_info if asked.HasField("tty_info") else None
    stdio = launching.stdio_of(tty, stdin=asked.stdin)
    started = await context.engine.execute(to_id(asked.container_id), request, stdio)
    answer = Response(type=Response.EXEC)
    answer.exec.container_id.CopyFrom(to_message(started.record.id))
    return answer


def exec_request(command: CommandInfo, *, working_directory: str | None = None) -> ExecRequest:
    """Raises BadRequest."""
    if command.uris:
        raise BadRequest("a further command fetches nothing", hint="launch a container with 'uris'")
    _, argv = launching.command_of(command)
    if not argv:
        raise BadRequest("no command given")
    return ExecRequest(
        command=argv,
        **environment.of_command(command.environment),
        user=command.user or None,
        working_directory=working_directory,
    )


# The end -----------------------------------------------------------------------------------------


async def wait_container(context: Context, call: agent.Call) -> Response:
    """Until it ends; at once for one that has ended and was not removed."""
    termination = await context.engine.wait(to_id(call.wait_container.container_id))
    waited = describing.waited(Response.WaitContainer, termination)
    return Response(type=Response.WAIT_CONTAINER, wait_container=waited)


async def wait_nested_container(context: Context, call: agent.Call) -> Response:
    require_parent(call.wait_nested_container.container_id)
    termination = await context.engine.wait(to_id(call.wait_nested_container.container_id))
    waited = describing.waited(Response.WaitNestedContainer, termination)
    return Response(type=Response.WAIT_NESTED_CONTAINER, wait_nested_container=waited)


async def await_container(context: Context, call: agent.Call) -> Response:
    asked = call.await_container
    container_id = to_id(asked.container_id)
    limit = asked.timeout.nanoseconds / NANOSECONDS if asked.HasField("timeout") else None
    answer = Response(type=Response.AWAIT_CONTAINER)
    if limit != 0:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit):
                await context.engine.wait(container_id)
    record = await context.engine.record(container_id)
    answer.await_container.ended = record.ended is not None
    answer.await_container.container.CopyFrom(describing.summary(record))
    return answer


async def kill_container(context: Context, call: agent.Call) -> None:
    asked = call.kill_container
    await _kill(context, asked.container_id, asked.signal if asked.HasField("signal") else signal.SIGKILL)


async def kill_nested_container(context: Context, call: agent.Call) -> None:
    asked = call.kill_nested_container
    require_parent(asked.container_id)
    await _kill(context, asked.container_id, asked.signal if asked.HasField("signal") else signal.SIGKILL)


async def _kill(context: Context, container_id: ContainerID, number: int) -> None:
    if not 0 < number < signal.NSIG:
        raise BadRequest(f"{number} is no signal")
    try:
        await context.engine.kill(to_id(container_id), number)
    except NotRunning as error:
        raise NotFound(str(error)) from error


async def stop_container(context: Context, call: agent.Call) -> None:
    asked = call.stop_container
    patience = (
        asked.grace_period.nanoseconds / NANOSECONDS if asked.HasField("grace_period") else STOP_TIMEOUT
    )
    await context.engine.stop(to_id(asked.container_id), patience)


async def remove_container(context: Context, call: agent.Call) -> None:
    asked = call.remove_container
    patience = asked.timeout.nanoseconds / NANOSECONDS if asked.HasField("timeout") else 0.0
    await _remove(context, asked.container_id, force=asked.force, patience=patience)


async def remove_nested_container(context: Context, call: agent.Call) -> None:
    require_parent(call.remove_nested_container.container_id)
    await _remove(context, call.remove_nested_container.container_id)


async def _remove(
    context: Context, container_id: ContainerID, *, force: bool = False, patience: float = 0.0
) -> None:
    """What has not ended in the agent's own time is given that time again, for so many seconds in all."""
    ours, until = to_id(container_id), time.monotonic() + patience
    try:
        while True:
            try:
                return await context.engine.remove(ours, force=force)
            except DestroyTimeout:
                if time.monotonic() >= until:
                    raise
    except NoSuchContainer as error:
        if not force:
            raise NotRemoved(str(error)) from error
    except ContainerizerError as error:
        raise NotRemoved(str(error)) from error


# Control -----------------------------------------------------------------------------------------


async def pause_container(context: Context, call: agent.Call) -> None:
    await context.engine.pause(to_id(call.pause_container.container_id))


async def unpause_container(context: Context, call: agent.Call) -> None:
    await context.engine.resume(to_id(call.unpause_container.container_id))


async def update_container(context: Context, call: agent.Call) -> None:
    asked = call.update_container
    resources = launching.resources_of(asked.resources, asked.limits)
    undone = launching.unlimited(asked.limits)
    resources = replace(resources, **undone, **limits.fields_of(asked.further))
    await context.engine.update(to_id(asked.container_id), resources)


# Lists -------------------------------------------------------------------------------------------


async def list_processes(context: Context, call: agent.Call) -> Response:
    container_id = to_id(call.list_processes.container_id)
    found = await context.engine.call(lambda owner: RemoteContainer(owner, container_id).processes())
    answer = Response(type=Response.LIST_PROCESSES)
    answer.list_processes.SetInParent()
    for process in found:
        told = {name: value for name, value in asdict(process).items() if value is not None}
        answer.list_processes.processes.add(**told)
    return answer


async def get_containers(context: Context, call: agent.Call) -> Response:
    """Those that run. Without a master all at the top stand alone, and are shown if that is asked for."""
    asked = call.get_containers
    answer = Response(type=Response.GET_CONTAINERS)
    answer.get_containers.SetInParent()
    records = await context.engine.containers() if asked.show_standalone else []
    shown = [
        each for each in records if _is_shown(each, asked) and context.visible(each.id) and is_running(each)
    ]
    usages = await context.engine.usages() if shown else {}
    entries = await asyncio.gather(*(_entry(context, each, usages.get(each.container_id)) for each in shown))
    answer.get_containers.containers.extend(entries)
    return answer


def _is_shown(record: ContainerRecord, asked: agent.Call.GetContainers) -> bool:
    return record.id.parent is None or (asked.show_nested and not record.id.is_command)


async def _entry(
    context: Context, record: ContainerRecord, usage: Usage | None
) -> Response.GetContainers.Container:
    """What cannot be told just now is absent."""
    entry = Response.GetContainers.Container(container_id=to_message(record.id))
    entry.container_status.CopyFrom(_status(record))
    if "cgroups/net_cls" in record.isolation:
        facts = (await context.engine.status(record.id)).facts.get("cgroups/net_cls", {})
        if "net_cls_classid" in facts:
            entry.container_status.cgroup_info.net_cls.classid = facts["net_cls_classid"]
    for name in {"network/cni", "network/usermode"}.intersection(record.isolation):
        facts = (await context.engine.status(record.id)).facts.get(name, {})
        entry.container_status.network_infos.extend(networks.told(facts))
    if (said := context.checker.said(record.id)) is not None:
        entry.health.CopyFrom(said.to_message())
    with contextlib.suppress(ContainerizerError, OSError):  # it ends while we look
        usage = usage or await context.engine.usage(record.id)  # newer than what was measured for all
        entry.resource_statistics.CopyFrom(measuring.usage_statistics(usage))
    return entry


def _status(record: ContainerRecord) -> statistics.ContainerStatus:
    status = statistics.ContainerStatus(container_id=to_message(record.id))
    if record.pid is not None:
        status.executor_pid = record.pid
    return status


async def list_containers(context: Context, call: agent.Call) -> Response:
    answer = Response(type=Response.LIST_CONTAINERS)
    answer.list_containers.SetInParent()
    for record in await context.engine.containers():
        if not context.visible(record.id):
            continue
        told = describing.summary(record)
        if call.list_containers.all or told.running or told.lost:
            with contextlib.suppress(NoSuchContainer):
                status = await context.engine.status(record.id)
                told.paused = status.paused
                told.limits_reached.extend(map(describing.limit_reached, status.reached))
            if told.running and (said := context.checker.said(record.id)) is not None:
                told.health.CopyFrom(said.to_message())
            answer.list_containers.containers.append(told)
    return answer
