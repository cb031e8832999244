"""Let the processes of an agent's paused containers go on."""

from __future__ import annotations

import argparse

from containerizer.cli.several import each
from containerizer.cli.unpause import configure
from containerizer.client.commands import client_of


def run(arguments: argparse.Namespace) -> int:
    client = client_of(arguments)
    return each(arguments.containers, lambda name: client.unpause(client.find(name)))


__all__ = ["configure", "run"]
