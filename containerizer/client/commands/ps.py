"""List an agent's containers: the running ones, or all that have not been removed."""

from __future__ import annotations

import argparse

from containerizer.api.describing import NANOSECONDS
from containerizer.api.ids import to_id
from containerizer.api.json_format import to_json
from containerizer.api.proto.extensions_pb2 import ContainerSummary, Health
from containerizer.cli import listing
from containerizer.cli.listing import Row, configure
from containerizer.client.commands import client_of


def run(arguments: argparse.Namespace) -> int:
    found = client_of(arguments).containers(ended=listing.with_ended(arguments))
    listing.show([_row(each) for each in found], arguments)
    return 0


def _row(container: ContainerSummary) -> Row:
    name = str(to_id(container.container_id))
    ended = container.HasField("termination")
    return Row(
        id=name,
        image=container.image,
        command=container.command,
        created_at=container.created_at.nanoseconds / NANOSECONDS,
        condition="lost" if container.lost else "paused" if container.paused else container.state,
        status=_status(container),
        exit_code=_exit_code(container.termination) if ended else None,
        value={**to_json(container), "id": name},
    )


def _exit_code(termination: ContainerSummary.Termination) -> int:
    """As `run` would have returned it: containerizer.termination."""
    if termination.HasField("signal"):
        return 128 + termination.signal
    return 137 if termination.limitation and not termination.code else termination.code


def _status(container: ContainerSummary) -> str:
    if container.HasField("termination"):
        return container.termination.message
    if container.paused:
        return "paused"
    if container.lost:
        return "lost: its processes were killed; rm cleans up"
    if not container.HasField("health"):
        return container.state
    return f"{container.state} ({_health(container.health)})"


def _health(health: Health) -> str:
    """In Docker's words."""
    if health.HasField("healthy"):
        return "healthy" if health.healthy else "unhealthy"
    if health.HasField("passing"):
        return "passing" if health.passing else "failing"
    return "health: starting"


__all__ = ["configure", "run"]
