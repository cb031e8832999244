"""Make an image of the files in a tar archive, compressed or not: of a root filesystem that you have.

    tar -C rootfs -c . | containerizer import - NAME

CHANGE is written as in a Dockerfile, as with `commit`: 'CMD ["sh"]', 'ENV A=1'.
"""

from __future__ import annotations

import argparse
import os

from launcher.errors import InvalidRequest
from provisioner.provisioner import Provisioner
from provisioner.saving.commit import Changes

_STDIN = 0


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-m", "--message", help="for the image's history")
    parser.add_argument(
        "-c", "--change", action="append", default=[], help="of the configuration; repeatable"
    )
    parser.add_argument("--platform", metavar="OS/ARCH", help="(this machine's)")
    parser.add_argument("file", metavar="FILE", help="- is standard input")
    parser.add_argument("image", metavar="NAME[:TAG]")


def run(arguments: argparse.Namespace) -> int:
    if arguments.file == "-" and os.isatty(_STDIN):
        raise InvalidRequest("an archive does not come from a terminal", hint="redirect the input")
    image = Provisioner(arguments.root).import_archive(
        _STDIN if arguments.file == "-" else arguments.file,
        arguments.image,
        Changes(instructions=tuple(arguments.change), message=arguments.message),
        platform=arguments.platform,
    )
    print(f"{image.reference}@{image.digest}")
    return 0
