"""Wait until containers of an agent have ended, and print their exit codes, one a line in the order given."""

from __future__ import annotations

import argparse

from containerizer.cli.several import add_names
from containerizer.client.client import exit_code
from containerizer.client.commands import client_of


def configure(parser: argparse.ArgumentParser) -> None:
    add_names(parser)


def run(arguments: argparse.Namespace) -> int:
    client = client_of(arguments)
    names = [client.find(name) for name in arguments.containers]
    for name in names:
        ended = client.wait(name)
        assert ended is not None  # there is no time limit
        print(exit_code(ended), flush=True)
    return 0
