"""Show what happens to containers from now on, a line each, until Ctrl-C.

    launching launched ended removed    the way of a container, or of a further command in one
    updated limit-reached               its limits changed, or held it back

With --agent there is more: pulls, health, what failed and why.
"""

from __future__ import annotations

import argparse
import json
import select
import time

from containerizer.cli import filters
from containerizer.cli.table import add_json_option, print_data, told
from containerizer.event import Event
from containerizer.paths import Paths

_KEYS: filters.Keys[Event] = {
    "kind": lambda event, value: event.kind == value,
    "container": lambda event, value: event.subject == value or event.subject.startswith(f"{value}."),
    "image": lambda event, value: value in (event.details.get("image"), event.subject),
}


def configure(parser: argparse.ArgumentParser) -> None:
    filters.add(parser, _KEYS)
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    from containerizer.following import Follower

    show = Printer(arguments).show
    with Follower(Paths.of(arguments.root, arguments.state)) as follower:
        poll = select.poll()
        poll.register(follower, select.POLLIN)
        while poll.poll():
            for event in follower.read():
                show(event)
    return 0


class Printer:
    """Prints those events that the arguments ask for. Raises InvalidRequest for a filter that is none."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._form = arguments.format
        self._wanted = filters.parse(arguments.filter, _KEYS)

    def show(self, event: Event) -> None:
        if not filters.fits(event, self._wanted, _KEYS):
            return
        value = {"time": event.time, "kind": event.kind, "subject": event.subject, "details": event.details}
        if self._form == "json":  # a line each: it is a stream
            print(json.dumps(value), flush=True)
        elif self._form == "table":
            details = ", ".join(f"{name}={_text(item)}" for name, item in event.details.items())
            line = f"{_time(event.time)} {event.kind} {event.subject}" + (f" ({details})" if details else "")
            print(told(line), flush=True)
        else:
            print_data(value, self._form, flush=True)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _time(seconds: float) -> str:
    """RFC 3339 in UTC, with milliseconds."""
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds % 1 * 1000):03}Z"
