"""Volumes, as `run` and `plan` take them."""

from __future__ import annotations

import argparse

from launcher.data import replace


def add(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "-v",
        "--volume",
        action="append",
        default=[],
        metavar="[SOURCE:]TARGET[:OPTION,...]",
        help="a path of the host, or a volume by its name, at TARGET: ro, rw, rro, nocopy, U, rslave ...",
    )
    group.add_argument(
        "--mount",
        action="append",
        default=[],
        metavar="type=bind|volume|image|sandbox|tmpfs,...",
        help="the same in words: source=, target=, readonly, volume-subpath= ...",
    )
    group.add_argument(
        "--volume-driver", default="", metavar="NAME", help="of the volumes of -v that have a name"
    )
    group.add_argument(
        "--volumes-from",
        action="append",
        default=[],
        metavar="CONTAINER[:ro]",
        help="all that another container has",
    )


def asked(arguments: argparse.Namespace) -> list[object]:
    """For ContainerRequest.of. Raises InvalidRequest."""
    if not (arguments.volume or arguments.mount):
        return []
    from containerizer.volumes import words  # for those who ask for some
    from isolators.volumes import NAMED

    named = [words.parse_volume(text) for text in arguments.volume]
    driven = [replace(each, driver=arguments.volume_driver) if each.kind == NAMED else each for each in named]
    return [*driven, *map(words.parse_mount, arguments.mount)]
