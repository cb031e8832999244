"""List containers: the running ones, or all that have not been removed.

Those in another container follow it, as `web.db`; a further command of `exec` is `web.exec-…`.
"""

from __future__ import annotations

import argparse
import contextlib
from typing import Any

from containerizer import ending, reached
from containerizer.cli import listing
from containerizer.cli.listing import Row
from containerizer.containerizer import Containerizer
from containerizer.lifecycle import State
from containerizer.liveness import is_running, state_of
from containerizer.record import ContainerRecord
from containerizer.remote import stands_still
from launcher.data import asdict
from launcher.errors import ContainerizerError

LOST = "lost"  # neither is there a task, nor anybody who would take back what it has left


def configure(parser: argparse.ArgumentParser) -> None:
    listing.configure(parser)
    parser.add_argument("-s", "--size", action="store_true", help="show what each has written, on disk")


def run(arguments: argparse.Namespace) -> int:
    containerizer = Containerizer(root=arguments.root, state=arguments.state, isolation=())
    ended = listing.with_ended(arguments)
    looked_at = [(record, is_running(record)) for record in containerizer.containers()]
    rows = [
        _row(containerizer, record, running, arguments)
        for record, running in looked_at
        if ended or running or record.state != State.TERMINATED.value  # something is left to end
    ]
    listing.show(rows, arguments)
    return 0


def _row(
    containerizer: Containerizer, record: ContainerRecord, running: bool, arguments: argparse.Namespace
) -> Row:
    condition = _condition(containerizer, record, running=running)
    size = _size(containerizer, record) if arguments.size else None
    value = _value(record, running, condition)
    if arguments.format != "table":
        value |= _limits_reached(containerizer, record) | ({} if size is None else {"size": size})
    return Row(
        id=record.container_id,
        image=record.image,
        command=record.command,
        created_at=record.created_at,
        condition=condition,
        status=_status(record, condition),
        exit_code=record.ended.exit_code if record.ended else None,
        value=value,
        size=size,
    )


def _size(containerizer: Containerizer, record: ContainerRecord) -> int:
    """Bytes on disk of what it has written to its root filesystem."""
    return containerizer.provisioner.writable_size(containerizer.paths.sandbox(record.id))


def _limits_reached(containerizer: Containerizer, record: ContainerRecord) -> dict[str, Any]:
    """Those that it goes on within."""
    isolators = containerizer.isolators_of(record) if record.limits and is_running(record) else ()
    known = reached.known(containerizer.paths, record, isolators)
    return {"limits_reached": [asdict(noted) for noted in known]}


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


def _value(record: ContainerRecord, running: bool, condition: str) -> dict[str, Any]:
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


def _status(record: ContainerRecord, condition: str) -> str:
    if record.ended:
        return record.ended.message
    return "lost: its processes were killed; rm cleans up" if condition == LOST else condition
