"""Calls about frameworks, executors, tasks and providers: what only a master brings to an agent.

This agent has none, so their lists are empty; its containers are in GET_CONTAINERS.
"""

from __future__ import annotations

from containerizer.api.context import Context
from containerizer.api.errors import NotImplementedHere
from containerizer.api.proto import agent_pb2 as agent

Response = agent.Response


async def get_state(_: Context, __: agent.Call) -> Response:
    answer = Response(type=Response.GET_STATE)
    answer.get_state.get_tasks.SetInParent()
    answer.get_state.get_executors.SetInParent()
    answer.get_state.get_frameworks.SetInParent()
    return answer


async def empty(_: Context, call: agent.Call) -> Response:
    """The response of the same name as the call, without anything in it."""
    name = agent.Call.Type.Name(call.type)
    answer = Response(type=name)
    getattr(answer, name.lower()).SetInParent()
    return answer


async def of_a_master(_: Context, call: agent.Call) -> None:
    name = agent.Call.Type.Name(call.type)
    raise NotImplementedHere(f"{name} is for agents with resource providers, and this is none")
