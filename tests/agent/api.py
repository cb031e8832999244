"""Calls of the v1 API in JSON, over an agent's Unix socket."""

from __future__ import annotations

import json
from typing import Any

from tests.agent.process import AgentProcess


def call(agent: AgentProcess, kind: str, timeout: float | None = None, **fields: Any) -> tuple[int, Any]:
    """The status and the answer; text where it is no JSON. `fields` are of the call's own message.

    Raises TimeoutError when nothing comes for `timeout` seconds.
    """
    body: dict[str, Any] = {"type": kind}
    if fields:
        body[kind.lower()] = fields
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    status, answer = agent.request("POST", "/api/v1", json.dumps(body).encode(), headers, timeout)
    try:
        return status, json.loads(answer) if answer else None
    except ValueError:
        return status, answer.decode()


def container_id(name: str) -> dict[str, Any]:
    """`a.b` as a ContainerID."""
    parent, _, own = name.rpartition(".")
    return {"value": own, "parent": container_id(parent)} if parent else {"value": own}


def launch(agent: AgentProcess, name: str, script: str, **fields: Any) -> None:
    """A shell's script on the host's filesystem."""
    command = {"shell": False, "value": "/bin/sh", "arguments": ["sh", "-c", script]}
    status, answer = call(
        agent, "LAUNCH_CONTAINER", container_id=container_id(name), command=command, **fields
    )
    assert status == 200, answer


def wait(agent: AgentProcess, name: str) -> Any:
    """How it ended."""
    status, answer = call(agent, "WAIT_CONTAINER", container_id=container_id(name))
    assert status == 200, answer
    return answer["wait_container"]


def kill(agent: AgentProcess, name: str) -> int:
    return call(agent, "KILL_CONTAINER", container_id=container_id(name))[0]


def remove(agent: AgentProcess, name: str) -> int:
    return call(agent, "REMOVE_CONTAINER", container_id=container_id(name))[0]
