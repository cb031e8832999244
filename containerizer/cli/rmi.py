"""Remove images from the store, and the layers that no other image or container needs."""

from __future__ import annotations

import argparse

from provisioner.provisioner import Provisioner


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "images", metavar="IMAGE", nargs="+", help="a reference, or the beginning of a digest"
    )


def run(arguments: argparse.Namespace) -> int:
    provisioner = Provisioner(arguments.root)
    for reference in arguments.images:
        print(provisioner.remove(reference).reference)
    return 0
