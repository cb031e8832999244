"""Remove images from an agent's store."""

from __future__ import annotations

import argparse

from containerizer.cli.several import each
from containerizer.client.commands import client_of


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("images", metavar="IMAGE", nargs="+")


def run(arguments: argparse.Namespace) -> int:
    client = client_of(arguments)
    return each(arguments.images, client.remove_image)
