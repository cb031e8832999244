"""Ask the tasks of an agent's containers to stop, and kill those that have not after a while."""

from __future__ import annotations

import argparse

from containerizer.cli.several import each
from containerizer.cli.stop import configure
from containerizer.client.commands import client_of


def run(arguments: argparse.Namespace) -> int:
    client = client_of(arguments)
    return each(arguments.containers, lambda name: client.stop(client.find(name), arguments.time))


__all__ = ["configure", "run"]
