"""Remove an agent's containers that have ended, or end them first."""

from __future__ import annotations

import argparse

from containerizer.cli.rm import configure
from containerizer.cli.several import each
from containerizer.client.client import NoSuchName
from containerizer.client.commands import client_of


def run(arguments: argparse.Namespace) -> int:
    client = client_of(arguments)

    def remove(name: str) -> None:
        try:
            found = client.find(name)
        except NoSuchName:
            if not arguments.force:
                raise
        else:
            client.remove(found, force=arguments.force, timeout=arguments.timeout)

    return each(arguments.containers, remove)


__all__ = ["configure", "run"]
