"""Pull images from their registries into the store."""

from __future__ import annotations

import argparse
import sys

from containerizer.cli import headroom_options, registry_options
from containerizer.cli.progress import layer_progress
from containerizer.cli.table import add_json_option, print_data
from provisioner.provisioner import Provisioner


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--platform", metavar="OS/ARCH", help="(this machine's)")
    registry_options.add(parser)
    registry_options.add_credentials(parser)
    headroom_options.add(parser)
    add_json_option(parser)
    parser.add_argument("images", metavar="IMAGE", nargs="+")


def run(arguments: argparse.Namespace) -> int:
    provisioner = Provisioner(
        arguments.root,
        registries=registry_options.of(arguments),
        after_pull=headroom_options.of(arguments),
    )
    pulled = []
    for reference in arguments.images:
        with layer_progress(as_json=arguments.format == "json") as progress:
            image = provisioner.pull(
                reference, policy="always", platform=arguments.platform, progress=progress
            )
        for sentence in provisioner.skipped(image):
            print(f"containerizer: left out for lack of privileges: {sentence}", file=sys.stderr)
        pulled.append(image)
        if arguments.format != "json":
            print(f"{image.reference}@{image.digest}")
    if arguments.format != "table":
        print_data([image.to_json() for image in pulled], arguments.format)
    return 0
