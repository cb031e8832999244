"""Have an agent pull images from their registries."""

from __future__ import annotations

import argparse

from containerizer.cli.several import each
from containerizer.client.commands import client_of
from containerizer.client.registries import credentials_of


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--authfile", metavar="FILE", help="credentials, as in containers-auth.json(5)")
    parser.add_argument("images", metavar="IMAGE", nargs="+")


def run(arguments: argparse.Namespace) -> int:
    client = client_of(arguments)
    return each(
        arguments.images, lambda image: client.pull(image, credentials=credentials_of(arguments, image))
    )
