"""Make an image of what a container, running or ended, has written to its root filesystem.

A running one is paused meanwhile. What is in volumes does not become a part of the image. CHANGE is
written as in a Dockerfile: 'CMD ["sh"]', 'ENV A=1', 'WORKDIR /srv'; CMD, ENTRYPOINT, ENV, EXPOSE, LABEL,
STOPSIGNAL, USER, VOLUME and WORKDIR are known.
"""

from __future__ import annotations

import argparse

from containerizer.committing import commit
from containerizer.containerizer import Containerizer
from provisioner.saving.commit import Changes


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-a", "--author")
    parser.add_argument("-m", "--message", help="for the image's history")
    parser.add_argument(
        "-c", "--change", action="append", default=[], help="of the configuration; repeatable"
    )
    parser.add_argument("--no-pause", action="store_true", help="let the container run on meanwhile")
    parser.add_argument("container", metavar="CONTAINER")
    parser.add_argument("image", metavar="NAME[:TAG]")


def run(arguments: argparse.Namespace) -> int:
    changes = Changes(
        instructions=tuple(arguments.change), author=arguments.author, message=arguments.message
    )
    owner = Containerizer(root=arguments.root, state=arguments.state, isolation=())
    image = commit(owner, arguments.container, arguments.image, changes, pause=not arguments.no_pause)
    print(f"{image.reference}@{image.digest}")
    return 0
