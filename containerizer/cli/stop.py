"""Ask the tasks of containers to stop, and kill those that have not after a while.

A task is asked by the stop signal of its `run` or its image, SIGTERM if neither names one. Several
containers stop at the same time.
"""

from __future__ import annotations

import argparse
import time

from containerizer.cli.several import add_names, each
from containerizer.containerizer import Containerizer
from containerizer.remote import STOP_TIMEOUT, RemoteContainer


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-t",
        "--time",
        "--timeout",
        type=float,
        default=STOP_TIMEOUT,
        metavar="SECONDS",
        help="how long they get (%(default)g)",
    )
    add_names(parser)


def run(arguments: argparse.Namespace) -> int:
    containerizer = Containerizer(root=arguments.root, state=arguments.state, isolation=())
    deadline = time.monotonic() + arguments.time
    asked: dict[str, RemoteContainer] = {}

    def ask(name: str) -> None:
        asked[name] = containerizer.get(name)
        asked[name].ask_to_stop()

    return each(arguments.containers, ask, lambda name: asked[name].await_stop(deadline - time.monotonic()))
