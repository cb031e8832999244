"""Show what containers' tasks have written: of those that run with -d or -t.

Of several, each line is behind the name of its container; they are sorted by time, or with -f as they come.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from containerizer import logs
from containerizer import record as records
from containerizer.attaching import attach
from containerizer.cli.session import write_all
from containerizer.cli.several import add_names
from containerizer.containerizer import Containerizer
from containerizer.logs import Entry, LogReader
from launcher.attach import NotServed
from launcher.container_id import ContainerId
from launcher.errors import EXIT_CONTAINERIZER_FAILED, InvalidRequest
from launcher.io.log_file import timestamp

if TYPE_CHECKING:
    from containerizer.cli.several_logs import Source

_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?[dhms])+")
_ABSOLUTE = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?Z?)?")
_OUTPUTS = {"stdout": 1, "stderr": 2}


def configure(parser: argparse.ArgumentParser) -> None:
    add_options(parser)
    add_names(parser)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", "--follow", action="store_true", help="go on until the task ends")
    parser.add_argument("-n", "--tail", type=int, metavar="N", help="the last N lines only")
    parser.add_argument("--since", metavar="TIME", help="a UTC time (2026-01-31T12:00:00Z), or 10m for ago")
    parser.add_argument("-t", "--timestamps", action="store_true", help="put the time before each line")


def run(arguments: argparse.Namespace) -> int:
    containerizer = Containerizer(root=arguments.root, state=arguments.state, isolation=())
    found = [records.find(containerizer.paths, name) for name in dict.fromkeys(arguments.containers)]
    if len(found) == 1:
        return show(containerizer, found[0], arguments)
    return show_several({str(each): _source(containerizer, each, arguments) for each in found}, arguments)


def show_several(sources: Mapping[str, Source], arguments: argparse.Namespace) -> int:
    from containerizer.cli import several_logs

    if arguments.follow:
        whole = several_logs.follow(sources, timestamps=arguments.timestamps)
        return 0 if whole else EXIT_CONTAINERIZER_FAILED
    several_logs.merge(sources, timestamps=arguments.timestamps)
    return 0


def _source(containerizer: Containerizer, container_id: ContainerId, arguments: argparse.Namespace) -> Source:
    _check(containerizer, container_id)

    def entries() -> Iterator[Entry]:
        with contextlib.closing(LogReader(containerizer.paths.log(container_id))) as reader:
            for batch in _wanted(_batches(containerizer, container_id, reader, arguments), arguments):
                yield from batch

    return entries


def show(containerizer: Containerizer, container_id: ContainerId, arguments: argparse.Namespace) -> int:
    """The log of this container, as the arguments ask for it."""
    _check(containerizer, container_id)
    with contextlib.closing(LogReader(containerizer.paths.log(container_id))) as reader:
        _print(_batches(containerizer, container_id, reader, arguments), arguments)
    return 0


def _check(containerizer: Containerizer, container_id: ContainerId) -> None:
    if records.load(containerizer.paths, container_id).stdio == "inherit":
        hint = "run it with -d or -t to have a log"
        raise NotServed(f"the output of {container_id} went to the command that ran it", hint=hint)


def _batches(
    containerizer: Containerizer, container_id: ContainerId, reader: LogReader, arguments: argparse.Namespace
) -> Iterable[Iterable[Entry]]:
    if not arguments.follow:
        return [reader.entries()]
    paths = containerizer.paths
    return logs.follow(
        reader, paths.sandbox(container_id), lambda: attach(paths, container_id), lambda: _lost(container_id)
    )


def _lost(container_id: ContainerId) -> None:
    what = "was killed, and then the task ended: what that wrote last is missing"
    print(f"containerizer: {container_id}: who read its output {what}", file=sys.stderr)


def show_file(path: str, arguments: argparse.Namespace) -> None:
    """What this log has now."""
    with contextlib.closing(LogReader(path)) as reader:
        _print([reader.entries()], arguments)


def _print(batches: Iterable[Iterable[Entry]], arguments: argparse.Namespace) -> None:
    printer = Printer(timestamps=arguments.timestamps)
    for batch in _wanted(batches, arguments):
        printer.show(batch)


def _wanted(batches: Iterable[Iterable[Entry]], arguments: argparse.Namespace) -> Iterator[Iterable[Entry]]:
    since = since_of(arguments.since) if arguments.since else ""
    for number, batch in enumerate(batches):
        wanted = (entry for entry in batch if entry.timestamp >= since)
        tailed = number == 0 and arguments.tail is not None
        yield logs.last(wanted, arguments.tail) if tailed else wanted


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
