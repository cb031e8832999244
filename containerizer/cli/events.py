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
from collections.abc import Callable

from containerizer.cli.table import add_json_option, print_data, told
from containerizer.event import Event
from containerizer.paths import Paths
from launcher.errors import InvalidRequest

_KEYS: dict[str, Callable[[Event, str], bool]] = {
    "kind": lambda event, value: event.kind == value,
    "container": lambda event, value: event.subject == value or event.subject.startswith(f"{value}."),
    "image": lambda event, value: value in (event.details.get("image"), event.subject),
}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-f",
        "--filter",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help=f"only those: {', '.join(_KEYS)}",
    )
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
        self._wanted: dict[str, list[str]] = {}
        for text in arguments.filter:
            key, equals, value = text.partition("=")
            if not equals or key not in _KEYS:
                hint = f"write KEY=VALUE, with one of {', '.join(_KEYS)}"
                raise InvalidRequest(f"invalid --filter {text!r}", hint=hint)
            self._wanted.setdefault(key, []).append(value)

    def show(self, event: Event) -> None:
        asked = self._wanted.items()
        if not all(any(_KEYS[key](event, value) for value in values) for key, values in asked):
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
