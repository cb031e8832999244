"""Show what the task of an agent's container has written."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from containerizer.api.proto.extensions_pb2 import LogEntry
from containerizer.api.proto.process_io_pb2 import ProcessIO
from containerizer.cli.logs import Printer, configure, since_of
from containerizer.client.commands import client_of
from containerizer.logs import Entry


def run(arguments: argparse.Namespace) -> int:
    client = client_of(arguments)
    name = client.find(arguments.container)
    since = since_of(arguments.since) if arguments.since else ""
    with client.logs(name, follow=arguments.follow, tail=arguments.tail, since=since) as entries:
        show(entries, timestamps=arguments.timestamps)
    return 0


def show(entries: Iterable[LogEntry], *, timestamps: bool) -> None:
    """Print them, each to our own stream of that name."""
    printer = Printer(timestamps=timestamps)
    for entry in entries:
        printer.show([_entry(entry)])


def _entry(entry: LogEntry) -> Entry:
    stream = "stderr" if entry.stream == ProcessIO.Data.STDERR else "stdout"
    return Entry(entry.timestamp, stream, entry.data)


__all__ = ["configure", "run", "show"]
