"""Options of commands that pull: room on the disk that each pull leaves, as Mesos' image_gc_config has it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from launcher.errors import InvalidRequest

if TYPE_CHECKING:
    from provisioner.store.prune import Criteria


def add(group: argparse._ArgumentGroup | argparse.ArgumentParser) -> None:
    """Which images go after a pull."""
    group.add_argument(
        "--image-disk-headroom",
        metavar="PART",
        type=float,
        help="after a pull, remove the oldest unused images until this part of the disk is free: 0.1",
    )
    group.add_argument(
        "--exclude-image", metavar="IMAGE", action="append", default=[], help="but not this one; repeatable"
    )


def of(arguments: argparse.Namespace) -> Criteria | None:
    """None: no image goes. Raises InvalidRequest."""
    if arguments.image_disk_headroom is None:
        return None
    from provisioner.store.prune import Criteria

    headroom = checked(arguments.image_disk_headroom, "--image-disk-headroom")
    return Criteria(headroom=headroom, excluded=tuple(arguments.exclude_image))


def checked(headroom: float | None, option: str) -> float | None:
    """Raises InvalidRequest."""
    if headroom is not None and not 0 <= headroom <= 1:
        raise InvalidRequest(f"invalid {option} {headroom}", hint="write a part of the disk: 0.1")
    return headroom
