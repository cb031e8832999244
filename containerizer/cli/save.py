"""Write images to an archive or a directory, as `load`, skopeo, podman and docker read them.

The store keeps layers unpacked; they are archived anew, so a saved image has another digest than it had in
its registry, and keeps that one from then on.
"""

from __future__ import annotations

import argparse
import os

from launcher.errors import InvalidRequest
from provisioner.provisioner import Provisioner

_STDOUT = 1


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="instead of standard output; a file that is there is replaced when the new one is whole",
    )
    parser.add_argument(
        "--format",
        choices=("oci-archive", "docker-archive", "oci-dir"),
        default="oci-archive",
        help="(%(default)s)",
    )
    parser.add_argument("--gzip", action="store_true", help="compress the layers")
    parser.add_argument(
        "images", metavar="IMAGE", nargs="+", help="a reference, or the beginning of a digest"
    )


def run(arguments: argparse.Namespace) -> int:
    if arguments.output is None and (os.isatty(_STDOUT) or arguments.format == "oci-dir"):
        what = (
            "a directory"
            if arguments.format == "oci-dir"
            else "an archive for something else than a terminal"
        )
        raise InvalidRequest(f"`save` has to write {what}", hint="name it with --output")
    forms = {"oci-archive": "oci", "docker-archive": "docker", "oci-dir": "oci-dir"}
    Provisioner(arguments.root).save(
        arguments.images,
        _STDOUT if arguments.output is None else arguments.output,
        form=forms[arguments.format],  # type: ignore[arg-type]
        compress=arguments.gzip,
    )
    return 0
