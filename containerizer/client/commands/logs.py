"""Show what the task of an agent's container has written."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from containerizer.api.proto.extensions_pb2 import LogEntry
from containerizer.api.proto.process_io_pb2 import ProcessIO
from containerizer.cli.logs import Printer, configure, show_several, since_of
from containerizer.client.client import AgentClient
from containerizer.client.commands import client_of
from containerizer.logs import Entry

if TYPE_CHECKING:
    from containerizer.cli.several_logs import Source


def run(arguments: argparse.Namespace) -> int:
    client = client_of(arguments)
    found = [client.find(name) for name in dict.fromkeys(arguments.containers)]
    if len(found) == 1:
        follow(client, found[0], arguments)
        return 0
    return show_several({name: _source(name, arguments) for name in found}, arguments)


def _source(name: str, arguments: argparse.Namespace) -> Source:
    since = since_of(arguments.since) if arguments.since else ""

    def entries() -> Iterator[Entry]:
        told = client_of(arguments).logs(name, follow=arguments.follow, tail=arguments.tail, since=since)
        with told as entries:  # by a connection of its own
            yield from map(_entry, entries)

    return entries


def follow(client: AgentClient, name: str, arguments: argparse.Namespace, *, previous: bool = False) -> None:
    """The log of this container, as the arguments ask for it."""
    since = since_of(arguments.since) if arguments.since else ""
    told = client.logs(
        name, follow=arguments.follow and not previous, tail=arguments.tail, since=since, previous=previous
    )
    with told as entries:
        show(entries, timestamps=arguments.timestamps)


def show(entries: Iterable[LogEntry], *, timestamps: bool) -> None:
    """Print them, each to our own stream of that name."""
    printer = Printer(timestamps=timestamps)
    for entry in entries:
        printer.show([_entry(entry)])


def _entry(entry: LogEntry) -> Entry:
    stream = "stderr" if entry.stream == ProcessIO.Data.STDERR else "stdout"
    return Entry(entry.timestamp, stream, entry.data)


__all__ = ["configure", "follow", "run", "show"]
