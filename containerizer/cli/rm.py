"""Remove containers that have ended, or end them first: their sandboxes, and what is known of them."""

from __future__ import annotations

import argparse
import contextlib

from containerizer.cli.several import add_names, each
from containerizer.containerizer import Containerizer
from containerizer.record import NoSuchContainer
from containerizer.remote import DESTROY_TIMEOUT


def configure(parser: argparse.ArgumentParser) -> None:
    add_names(parser)
    parser.add_argument("-f", "--force", action="store_true", help="end what runs; fine if there is none")
    parser.add_argument(
        "-v", "--volumes", action="store_true", help="with the volumes that have no name of their own"
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=DESTROY_TIMEOUT,
        metavar="SECONDS",
        help="how long what was killed may take to end (%(default)g)",
    )


def run(arguments: argparse.Namespace) -> int:
    containerizer = Containerizer(root=arguments.root, state=arguments.state, isolation=())

    def remove(name: str) -> None:
        with contextlib.suppress(*([NoSuchContainer] if arguments.force else [])):
            containerizer.get(name).remove(
                force=arguments.force, timeout=arguments.timeout, volumes=arguments.volumes
            )

    return each(arguments.containers, remove)
