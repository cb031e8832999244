"""Calls on pods."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from containerizer.agent.pod_following import PodFollowing
from containerizer.api.context import Context
from containerizer.api.errors import BadRequest
from containerizer.api.handlers.streams import Records
from containerizer.api.ids import to_id, to_message
from containerizer.api.proto import agent_pb2 as agent
from containerizer.api.proto import pods_pb2 as pods
from containerizer.pods.status import PodStatus
from launcher.container_id import ContainerId

Response = agent.Response


async def run_pod(context: Context, call: agent.Call) -> Response:
    asked = call.run_pod
    container_id = to_id(asked.container_id)
    if container_id.parent is not None:
        raise BadRequest("a pod is in no other container", hint="leave out 'container_id.parent'")
    ignored = await context.engine.pods.run(container_id, asked.manifest, remove=asked.remove)
    return Response(type=Response.RUN_POD, run_pod=pods.PodStarted(ignored=ignored))


async def list_pods(context: Context, _: agent.Call) -> Response:
    answer = Response(type=Response.LIST_PODS)
    answer.list_pods.SetInParent()
    found = await context.engine.pods.all()
    answer.list_pods.pods.extend(_described(each) for each in found if context.visible(each.id))
    return answer


async def remove_pod(context: Context, call: agent.Call) -> None:
    asked = call.remove_pod
    await context.engine.pods.remove(to_id(asked.container_id), force=asked.force, keep=asked.keep)


async def follow_pod(context: Context, call: agent.Call) -> Records:
    following = PodFollowing(context.engine.paths, to_id(call.follow_pod.container_id))

    async def follow() -> AsyncGenerator[pods.Pod, None]:
        async for status in following.statuses():
            yield _described(status)

    return Records(follow(), following.close)


def _described(status: PodStatus) -> pods.Pod:
    told = pods.Pod(
        container_id=to_message(status.id),
        phase=status.phase,
        message=status.message,
        created_at=status.created_at,
    )
    for member in status.members:
        own = told.members.add(
            container_id=to_message(ContainerId(member.name, status.id)),
            state=member.state,
            init=member.init,
            ready=member.ready,
            restarts=member.restarts,
            message=member.message,
        )
        if member.exit_code is not None:
            own.exit_code = member.exit_code
    return told
