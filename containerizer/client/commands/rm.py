"""Remove an agent's containers that have ended, or end them first."""

from __future__ import annotations

import argparse

from containerizer.cli.several import add_names, each
from containerizer.client.client import NoSuchName
from containerizer.client.commands import client_of


def configure(parser: argparse.ArgumentParser) -> None:
    add_names(parser)
    parser.add_argument("-f", "--force", action="store_true", help="end what runs; fine if there is none")


def run(arguments: argparse.Namespace) -> int:
    client = client_of(arguments)

    def remove(name: str) -> None:
        try:
            found = client.find(name)
        except NoSuchName:
            if not arguments.force:
                raise
        else:
            client.remove(found, force=arguments.force)

    return each(arguments.containers, remove)
