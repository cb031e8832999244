"""Copy files between a container, running or ended, and the host.

One of the two is CONTAINER:PATH, the other a path of the host, or `-` for a tar archive on standard
input or output. SOURCE/. is what is in a directory. Files become root's in the container, and the
caller's on the host.
"""

from __future__ import annotations

import argparse
import os
import sys

from containerizer.containerizer import Containerizer
from launcher.errors import InvalidRequest

USAGE = "%(prog)s [-a] [-L] CONTAINER:PATH HOST_PATH|-\n       %(prog)s [-a] [-L] HOST_PATH|- CONTAINER:PATH"

_STREAM = "-"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-a", "--archive", action="store_true", help="keep owners, by number")
    parser.add_argument("-L", "--follow-link", action="store_true", help="follow a link as SOURCE")
    parser.add_argument("source", metavar="SOURCE")
    parser.add_argument("target", metavar="TARGET")


def run(arguments: argparse.Namespace) -> int:
    containerizer = Containerizer(root=arguments.root, state=arguments.state, isolation=())
    source, target = split(arguments.source), split(arguments.target)
    if (source is None) == (target is None):
        raise InvalidRequest("one of SOURCE and TARGET must be in a container", hint="write CONTAINER:PATH")
    if target is not None:
        skipped = _to(containerizer, arguments, *target)
    else:
        assert source is not None
        skipped = _from(containerizer, arguments, *source)
    for name in skipped:
        print(
            f"containerizer: left out {name!r}: a device, a socket or the kernel's",
            file=sys.stderr,
        )
    return 0


def _to(containerizer: Containerizer, arguments: argparse.Namespace, name: str, path: str) -> list[str]:
    files = containerizer.get(name).files
    if arguments.source == _STREAM:
        return files.put_archive(0, path, archive=arguments.archive)
    return files.copy_to(arguments.source, path, archive=arguments.archive, follow=arguments.follow_link)


def _from(containerizer: Containerizer, arguments: argparse.Namespace, name: str, path: str) -> list[str]:
    files = containerizer.get(name).files
    if arguments.target == _STREAM:
        if os.isatty(1):
            raise InvalidRequest("a tar archive is nothing for a terminal", hint="redirect the output")
        return files.get_archive(path, 1, follow=arguments.follow_link)
    return files.copy_from(path, arguments.target, archive=arguments.archive, follow=arguments.follow_link)


def split(text: str) -> tuple[str, str] | None:
    """(container, path), or None for a path of the host: as docker cp tells them apart."""
    name, colon, path = text.partition(":")
    return (name, path or "/") if colon and name and name[0] not in "./" else None
