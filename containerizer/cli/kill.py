"""Send a signal to the tasks of containers; SIGKILL, the default, ends the container."""

from __future__ import annotations

import argparse

from containerizer.cli.several import add_names, each
from containerizer.containerizer import Containerizer
from launcher.signal_names import parse_signal


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-s", "--signal", default="SIGKILL", metavar="SIGNAL", help="name or number (%(default)s)"
    )
    add_names(parser)


def run(arguments: argparse.Namespace) -> int:
    number = parse_signal(arguments.signal)
    containerizer = Containerizer(root=arguments.root, state=arguments.state, isolation=())
    return each(arguments.containers, lambda name: containerizer.get(name).kill(number))
