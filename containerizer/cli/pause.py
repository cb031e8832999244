"""Stop all processes of containers until `unpause`; they notice nothing but the time that has passed."""

from __future__ import annotations

import argparse

from containerizer.cli.several import add_names, each
from containerizer.containerizer import Containerizer


def configure(parser: argparse.ArgumentParser) -> None:
    add_names(parser)


def run(arguments: argparse.Namespace) -> int:
    containerizer = Containerizer(root=arguments.root, state=arguments.state, isolation=())
    return each(arguments.containers, lambda name: containerizer.get(name).pause())
