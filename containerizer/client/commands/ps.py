"""List an agent's containers: the running ones, or all that have not been removed."""

from __future__ import annotations

import argparse
import shlex
import time
from typing import Any

from containerizer.api.describing import NANOSECONDS
from containerizer.api.ids import to_id
from containerizer.api.json_format import to_json
from containerizer.api.proto.extensions_pb2 import ContainerSummary, Health
from containerizer.cli.table import add_json_option, print_json, print_table
from containerizer.client.commands import client_of
from containerizer.units import format_age

_COMMAND_WIDTH = 30  # characters of the command that the table shows


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-a", "--all", action="store_true", help="also those that have ended")
    parser.add_argument("-q", "--quiet", action="store_true", help="print names only")
    parser.add_argument("--no-trunc", action="store_true", help="show commands in full")
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    found = client_of(arguments).containers(ended=arguments.all)
    if arguments.format == "json":
        print_json([_as_json(each) for each in found])
    elif arguments.quiet:
        print("".join(f"{to_id(each.container_id)}\n" for each in found), end="")
    else:
        width = None if arguments.no_trunc else _COMMAND_WIDTH
        header = ("CONTAINER", "IMAGE", "COMMAND", "AGE", "STATUS")
        print_table(header, [_row(each, width) for each in found])
    return 0


def _as_json(container: ContainerSummary) -> dict[str, Any]:
    return {**to_json(container), "id": str(to_id(container.container_id))}


def _row(container: ContainerSummary, width: int | None) -> tuple[str, ...]:
    command = shlex.join(container.command)
    short = command if width is None or len(command) <= width else command[: width - 1] + "…"
    age = format_age(time.time() - container.created_at.nanoseconds / NANOSECONDS)
    return (str(to_id(container.container_id)), container.image, short, age, _status(container))


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
