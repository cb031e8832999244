"""Stop all processes of an agent's containers."""

from __future__ import annotations

import argparse

from containerizer.cli.pause import configure
from containerizer.cli.several import each
from containerizer.client.commands import client_of


def run(arguments: argparse.Namespace) -> int:
    client = client_of(arguments)
    return each(arguments.containers, lambda name: client.pause(client.find(name)))


__all__ = ["configure", "run"]
