"""Load the images of an archive, of a file or of standard input, as `save`, docker and podman write them."""

from __future__ import annotations

import argparse
import os

from containerizer.cli.progress import layer_progress
from containerizer.cli.table import add_json_option, print_data
from launcher.errors import InvalidRequest
from provisioner.provisioner import Provisioner

_STDIN = 0


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-i", "--input", metavar="FILE", help="instead of standard input")
    parser.add_argument("-t", "--tag", metavar="NAME[:TAG]", help="name the archive's only image so")
    parser.add_argument("--platform", metavar="OS/ARCH", help="(this machine's)")
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    if arguments.input is None and os.isatty(_STDIN):
        raise InvalidRequest(
            "an archive does not come from a terminal", hint="redirect the input, or use --input"
        )
    with layer_progress(as_json=arguments.format == "json") as progress:
        images = Provisioner(arguments.root).load(
            _STDIN if arguments.input is None else arguments.input,
            name=arguments.tag,
            platform=arguments.platform,
            progress=progress,
        )
    if arguments.format != "table":
        print_data([image.to_json() for image in images], arguments.format)
    else:
        for image in images:
            print(f"{image.reference}@{image.digest}")
    return 0
