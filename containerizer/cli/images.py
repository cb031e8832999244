"""List the images in the store."""

from __future__ import annotations

import argparse

from containerizer.cli.table import add_json_option, print_json, print_table
from containerizer.units import format_size
from provisioner.provisioner import Provisioner


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-q", "--quiet", action="store_true", help="print digests only")
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    images = Provisioner(arguments.root).images()
    if arguments.format == "json":
        print_json([image.to_json() for image in images])
    elif arguments.quiet:
        print("\n".join(image.digest for image in images))
    else:
        rows = [
            (image.reference, image.digest.partition(":")[2][:12], image.platform, format_size(image.size))
            for image in images
        ]
        print_table(("IMAGE", "DIGEST", "PLATFORM", "SIZE"), rows)
    return 0
