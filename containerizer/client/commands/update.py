"""Change the limits of an agent's running containers, at once; those that are not named stay."""

from __future__ import annotations

import argparse

from containerizer.cli.several import each
from containerizer.cli.update import USAGE, asked, configure
from containerizer.client.commands import client_of


def run(arguments: argparse.Namespace) -> int:
    resources = asked(arguments)
    client = client_of(arguments)
    return each(arguments.containers, lambda name: client.update(client.find(name), resources))


__all__ = ["USAGE", "configure", "run"]
