"""List containers: the running ones, or all that have not been removed."""

from __future__ import annotations

import argparse
import shlex
import time

from containerizer.cli.table import add_json_option, print_json, print_table
from containerizer.containerizer import Containerizer
from containerizer.liveness import is_running
from containerizer.record import ContainerRecord

_COMMAND_WIDTH = 30  # characters of the command that the table shows


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-a", "--all", action="store_true", help="also those that have ended")
    parser.add_argument("-q", "--quiet", action="store_true", help="print names only")
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    containerizer = Containerizer(root=arguments.root, state=arguments.state, isolation=())
    records = [record for record in containerizer.containers() if arguments.all or is_running(record)]
    if arguments.json:
        print_json([_as_json(record) for record in records])
    elif arguments.quiet:
        print("".join(f"{record.container_id}\n" for record in records), end="")
    else:
        print_table(("CONTAINER", "IMAGE", "COMMAND", "AGE", "STATUS"), [_row(record) for record in records])
    return 0


def _as_json(record: ContainerRecord) -> dict[str, object]:
    return {
        "id": record.container_id,
        "image": record.image,
        "command": list(record.command),
        "state": record.state,
        "running": is_running(record),
        "pid": record.pid,
        "stdio": record.stdio,
        "created_at": record.created_at,
        "started_at": record.started_at,
        "finished_at": record.finished_at,
        "termination": record.termination,
    }


def _row(record: ContainerRecord) -> tuple[str, ...]:
    command = shlex.join(record.command)
    short = command if len(command) <= _COMMAND_WIDTH else command[: _COMMAND_WIDTH - 1] + "…"
    return (record.container_id, record.image, short, _age(time.time() - record.created_at), _status(record))


def _status(record: ContainerRecord) -> str:
    if record.ended:
        return record.ended.message
    return record.state if is_running(record) else "lost: its launcher was killed"


def _age(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds:.0f} s"
