"""Clean up after a container whose launcher is gone. Its supervisor ends in this command."""

from __future__ import annotations

import argparse

from containerizer.containerizer import Containerizer
from launcher.container_id import ContainerId


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("container", metavar="CONTAINER")


def run(arguments: argparse.Namespace) -> int:
    containerizer = Containerizer(root=arguments.root, state=arguments.state, isolation=())
    containerizer.reap(ContainerId.parse(arguments.container))
    return 0
