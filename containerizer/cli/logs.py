"""Show what a container's task has written: of those that run with -d or -t."""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Iterable

from containerizer import logs
from containerizer import record as records
from containerizer.attaching import attach
from containerizer.cli.session import write_all
from containerizer.containerizer import Containerizer
from containerizer.logs import Entry, LogReader
from launcher.attach import NotServed
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest
from launcher.io.log_file import timestamp

_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?[dhms])+")
_ABSOLUTE = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?Z?)?")
_OUTPUTS = {"stdout": 1, "stderr": 2}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", "--follow", action="store_true", help="go on until the task ends")
    parser.add_argument("-n", "--tail", type=int, metavar="N", help="the last N lines only")
    parser.add_argument("--since", metavar="TIME", help="a UTC time (2026-01-31T12:00:00Z), or 10m for ago")
    parser.add_argument("-t", "--timestamps", action="store_true", help="put the time before each line")
    parser.add_argument("container", metavar="CONTAINER")


def run(arguments: argparse.Namespace) -> int:
    containerizer = Containerizer(root=arguments.root, state=arguments.state, isolation=())
    return show(containerizer, records.find(containerizer.paths, arguments.container), arguments)


def show(containerizer: Containerizer, container_id: ContainerId, arguments: argparse.Namespace) -> int:
    """The log of this container, as the arguments ask for it."""
    paths = containerizer.paths
    record = records.load(paths, container_id)
    if record.stdio == "inherit":
        hint = "run it with -d or -t to have a log"
        raise NotServed(f"the output of {container_id} went to the command that ran it", hint=hint)
    if not arguments.follow:
        show_file(paths.log(container_id), arguments)
        return 0
    reader = LogReader(paths.log(container_id))
    batches = logs.follow(
        reader, paths.sandbox(container_id), lambda: attach(paths, container_id), lambda: _lost(container_id)
    )
    _print(batches, arguments)
    reader.close()
    return 0


def _lost(container_id: ContainerId) -> None:
    what = "was killed, and then the task ended: what that wrote last is missing"
    print(f"containerizer: {container_id}: who read its output {what}", file=sys.stderr)


def show_file(path: str, arguments: argparse.Namespace) -> None:
    """What this log has now."""
    reader = LogReader(path)
    _print([reader.entries()], arguments)
    reader.close()


def _print(batches: Iterable[Iterable[Entry]], arguments: argparse.Namespace) -> None:
    since = since_of(arguments.since) if arguments.since else ""
    printer = Printer(timestamps=arguments.timestamps)
    for number, batch in enumerate(batches):
        wanted = (entry for entry in batch if entry.timestamp >= since)
        tailed = number == 0 and arguments.tail is not None
        printer.show(logs.last(wanted, arguments.tail) if tailed else wanted)


class Printer:
    """Prints entries, each to our own stream of that name; parts of a line join again."""

    def __init__(self, *, timestamps: bool) -> None:
        self._timestamps = timestamps
        self._in_line = dict.fromkeys(_OUTPUTS, False)

    def show(self, entries: Iterable[Entry]) -> None:
        text, stream = b"", "stdout"
        for entry in entries:
            if entry.stream != stream or len(text) > 1 << 16:
                write_all(_OUTPUTS[stream], text)
                text, stream = b"", entry.stream
            text += self._line(entry)
        write_all(_OUTPUTS[stream], text)

    def _line(self, entry: Entry) -> bytes:
        begins = not self._in_line[entry.stream]
        self._in_line[entry.stream] = not entry.content.endswith(b"\n")
        return (
            f"{entry.timestamp} ".encode() + entry.content if self._timestamps and begins else entry.content
        )


def since_of(text: str) -> str:
    """The time as the log writes times, or the beginning of that: their order is that of the text."""
    if _DURATION.fullmatch(text):
        parts = re.findall(r"([\d.]+)([dhms])", text)
        ago = sum(float(number) * _UNITS[unit] for number, unit in parts)
        return timestamp(time.time_ns() - int(ago * 1_000_000_000))
    if _ABSOLUTE.fullmatch(text):
        return text.rstrip("Z")
    hint = "write a time in UTC as 2026-01-31T12:00:00Z, or how long ago as 10m or 1h30m"
    raise InvalidRequest(f"invalid time {text!r}", hint=hint)
