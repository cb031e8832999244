"""Send a signal to the tasks of an agent's containers; SIGKILL, the default, ends the container."""

from __future__ import annotations

import argparse

from containerizer.cli.kill import configure
from containerizer.cli.several import each
from containerizer.client.commands import client_of
from launcher.signal_names import parse_signal


def run(arguments: argparse.Namespace) -> int:
    number = parse_signal(arguments.signal)
    client = client_of(arguments)
    return each(arguments.containers, lambda name: client.kill(client.find(name), number))


__all__ = ["configure", "run"]
