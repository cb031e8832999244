"""Show what happens to an agent's containers and images from now on, a line each, until Ctrl-C."""

from __future__ import annotations

import argparse

from containerizer.api.describing import NANOSECONDS
from containerizer.cli.events import Printer, configure
from containerizer.client.commands import client_of
from containerizer.event import Event


def run(arguments: argparse.Namespace) -> int:
    show = Printer(arguments).show
    with client_of(arguments).events() as events:
        for event in events:
            if event.kind != "heartbeat":
                seconds = event.time.nanoseconds / NANOSECONDS
                show(Event(kind=event.kind, subject=event.subject, time=seconds, details=dict(event.details)))
    return 0


__all__ = ["configure", "run"]
