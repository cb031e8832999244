"""Clean up after a container whose launcher is gone. Its supervisor ends in this command."""

from __future__ import annotations

import argparse

from containerizer.containerizer import Containerizer
from containerizer.remote import RemoteContainer
from launcher.container_id import ContainerId


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("container", metavar="CONTAINER")


def run(arguments: argparse.Namespace) -> int:
    containerizer = Containerizer(root=arguments.root, state=arguments.state, isolation=())
    RemoteContainer(containerizer, ContainerId.parse(arguments.container)).reap()
    return 0
