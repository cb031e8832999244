"""Remove what nobody uses: containers that have ended, networks without containers, what interrupted
pulls have left; with --all also images that no container uses, with --volumes volumes without a name.

What was not removed is left as it was, and said. `images prune` knows ages and head-room.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from containerizer.cli import network
from containerizer.cli.table import add_json_option, print_data
from containerizer.containerizer import Containerizer
from containerizer.lifecycle import State
from containerizer.paths import Paths
from containerizer.units import format_size
from isolators.flags import IsolatorFlags
from launcher.errors import EXIT_CONTAINERIZER_FAILED, ContainerizerError, InvalidRequest
from provisioner.provisioner import Provisioner

_STDIN = 0


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-a", "--all", action="store_true", help="also images that no container uses")
    parser.add_argument(
        "--volumes", action="store_true", help="also volumes without a name that no container uses"
    )
    parser.add_argument("-f", "--force", action="store_true", help="do not ask")
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    if not arguments.force and not _agreed(arguments):
        return EXIT_CONTAINERIZER_FAILED
    pruned = _Pruned(arguments)
    removed: dict[str, Any] = {
        "containers": pruned.containers(),  # first: they use the others
        "networks": pruned.networks(),
        "volumes": pruned.volumes() if arguments.volumes else [],
    }
    images, removed["freed"] = pruned.images()
    removed["images"] = images
    if arguments.format != "table":
        print_data(removed, arguments.format)
    else:
        for kind in ("containers", "networks", "volumes", "images"):
            print("".join(f"{kind[:-1]} {name}\n" for name in removed[kind]), end="")
        print(f"freed {format_size(removed['freed'])} of images")
    return EXIT_CONTAINERIZER_FAILED if pruned.failed else 0


def _agreed(arguments: argparse.Namespace) -> bool:
    if not os.isatty(_STDIN):
        raise InvalidRequest("there is nobody to ask", hint="--force does without")
    what = " and all images that no container uses" if arguments.all else ""
    print(
        f"Remove all containers that have ended, networks without containers{what}? [y/N] ",
        end="",
        flush=True,
    )
    return sys.stdin.readline().strip().lower() in ("y", "yes")


class _Pruned:
    """Removes, and notes whether something could not be."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        self.failed = False

    def containers(self) -> list[str]:
        owner = Containerizer(root=self._arguments.root, state=self._arguments.state, isolation=())
        ended = [each for each in owner.containers() if each.state == State.TERMINATED.value]
        return [each.container_id for each in ended if self._works(owner.get(each.container_id).remove)]

    def networks(self) -> list[str]:
        return [name for name, remove in network.unused(self._arguments) if self._works(remove)]

    def volumes(self) -> list[str]:
        from containerizer.volumes.manager import Volumes

        places = Paths.of(self._arguments.root, self._arguments.state)
        return [gone.record.name for gone in Volumes(places, IsolatorFlags()).prune()]

    def images(self) -> tuple[list[str], int]:
        from provisioner.store.prune import Criteria

        pruned = Provisioner(self._arguments.root).prune(Criteria(everything=self._arguments.all))
        return [image.reference for image in pruned.images], pruned.freed

    def _works(self, remove: Any) -> bool:
        try:
            remove()
        except (ContainerizerError, OSError) as error:
            print(f"containerizer: {error}", file=sys.stderr)
            self.failed = True
            return False
        return True
