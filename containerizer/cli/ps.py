"""List containers: the running ones, or all that have not been removed.

Those in another container follow it, as `web.db`; a further command of `exec` is `web.exec-…`.
"""

from __future__ import annotations

import argparse
import contextlib
import shlex
import time

from containerizer import ending, reached
from containerizer.cli.table import add_json_option, print_json, print_table
from containerizer.containerizer import Containerizer
from containerizer.lifecycle import State
from containerizer.liveness import is_running, state_of
from containerizer.record import ContainerRecord
from containerizer.remote import stands_still
from containerizer.units import format_age, format_size
from launcher.data import asdict
from launcher.errors import ContainerizerError

LOST = "lost"  # neither is there a task, nor anybody who would take back what it has left

_COMMAND_WIDTH = 30  # characters of the command that the table shows


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-a", "--all", action="store_true", help="also those that have ended")
    parser.add_argument("-q", "--quiet", action="store_true", help="print names only")
    parser.add_argument("--no-trunc", action="store_true", help="show commands in full")
    parser.add_argument("-s", "--size", action="store_true", help="show what each has written, on disk")
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    containerizer = Containerizer(root=arguments.root, state=arguments.state, isolation=())
    looked_at = [(record, is_running(record)) for record in containerizer.containers()]
    records = [
        (record, running, _condition(containerizer, record, running=running))
        for record, running in looked_at
        if arguments.all or running or record.state != State.TERMINATED.value  # something is left to end
    ]
    found = [record for record, _, _ in records]
    if arguments.format == "json":
        sizes = _sizes(containerizer, found) if arguments.size else {}
        limits = {record.container_id: _limits_reached(containerizer, record) for record in found}
        print_json(
            [_as_json(*known) | limits[known[0].container_id] | _size(sizes, known[0]) for known in records]
        )
    elif arguments.quiet:
        print("".join(f"{record.container_id}\n" for record in found), end="")
    else:
        width = None if arguments.no_trunc else _COMMAND_WIDTH
        rows = [_row(record, condition, width) for record, _, condition in records]
        header: tuple[str, ...] = ("CONTAINER", "IMAGE", "COMMAND", "AGE", "STATUS")
        if arguments.size:
            sizes = _sizes(containerizer, found)
            cells = (format_size(sizes[record.container_id]) for record in found)
            rows = [(*row[:-1], cell, row[-1]) for row, cell in zip(rows, cells, strict=True)]
            header = (*header[:-1], "SIZE", header[-1])
        print_table(header, rows)
    return 0


def _sizes(containerizer: Containerizer, found: list[ContainerRecord]) -> dict[str, int]:
    """Bytes on disk of what each has written to its root filesystem."""
    paths, size = containerizer.paths, containerizer.provisioner.writable_size
    return {record.container_id: size(paths.sandbox(record.id)) for record in found}


def _limits_reached(containerizer: Containerizer, record: ContainerRecord) -> dict[str, object]:
    """Those that it goes on within."""
    isolators = containerizer.isolators_of(record) if record.limits and is_running(record) else ()
    known = reached.known(containerizer.paths, record, isolators)
    return {"limits_reached": [asdict(noted) for noted in known]}


def _size(sizes: dict[str, int], record: ContainerRecord) -> dict[str, object]:
    return {"size": sizes[record.container_id]} if record.container_id in sizes else {}


def _condition(containerizer: Containerizer, record: ContainerRecord, *, running: bool) -> str:
    """In one word: its state, or what else is true of it."""
    if record.state == State.TERMINATED.value:
        return record.state
    if ending.requested(containerizer.paths, record.id):
        return State.DESTROYING.value
    if not running:
        return LOST
    with contextlib.suppress(ContainerizerError):  # it ends just now
        if stands_still(containerizer, record):
            return "paused"
    return state_of(record).value


def _as_json(record: ContainerRecord, running: bool, condition: str) -> dict[str, object]:
    return {
        "id": record.container_id,
        "image": record.image,
        "command": list(record.command),
        "state": State.DESTROYING.value if condition == State.DESTROYING.value else state_of(record).value,
        "running": running,
        "paused": condition == "paused",
        "lost": condition == LOST,
        "pid": record.pid,
        "stdio": record.stdio,
        "created_at": record.created_at,
        "started_at": record.started_at,
        "finished_at": record.finished_at,
        "termination": record.termination,
    }


def _row(record: ContainerRecord, condition: str, width: int | None) -> tuple[str, ...]:
    command = shlex.join(record.command)
    short = command if width is None or len(command) <= width else command[: width - 1] + "…"
    age = format_age(time.time() - record.created_at)
    return (record.container_id, record.image, short, age, _status(record, condition))


def _status(record: ContainerRecord, condition: str) -> str:
    if record.ended:
        return record.ended.message
    return "lost: its processes were killed; rm cleans up" if condition == LOST else condition
