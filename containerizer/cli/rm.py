"""Remove containers that have ended: their sandboxes, and what is known of them."""

from __future__ import annotations

import argparse

from containerizer.containerizer import Containerizer
from launcher.container_id import ContainerId


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("containers", metavar="CONTAINER", nargs="+")


def run(arguments: argparse.Namespace) -> int:
    containerizer = Containerizer(root=arguments.root, state=arguments.state, isolation=())
    for name in arguments.containers:
        containerizer.remove(ContainerId.parse(name))
        print(name)
    return 0
