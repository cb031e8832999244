"""Show all that an agent tells of containers, as JSON."""

from __future__ import annotations

import argparse
from typing import Any

from containerizer.api.ids import to_id
from containerizer.api.json_format import to_json
from containerizer.cli.inspect import configure, show
from containerizer.client.client import AgentClient
from containerizer.client.commands import client_of
from launcher.errors import InvalidRequest


def run(arguments: argparse.Namespace) -> int:
    if arguments.type not in (None, "container"):
        raise InvalidRequest(
            f"an agent is not asked for a single {arguments.type}", hint="use `images --json`"
        )
    client = client_of(arguments)
    show([_container(client, name) for name in arguments.names], arguments)
    return 0


def _container(client: AgentClient, name: str) -> dict[str, Any]:
    found = client.find(name)
    told = [each for each in client.containers(ended=True) if str(to_id(each.container_id)) == found]
    if not told:
        raise InvalidRequest(f"container {found} has just been removed")
    return {"kind": "container", **to_json(told[0]), "id": found}


__all__ = ["configure", "run"]
