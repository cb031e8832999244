"""The limit of a container's disk, as all isolators of disks check it and tell of it."""

from __future__ import annotations

from isolators.resources import Limitation, Resources
from launcher.errors import InvalidRequest

MINIMUM = 1 << 20  # bytes; directories and files of ours take some already
MEBIBYTE = 1 << 20
_LARGEST = (1 << 62) - 1  # bytes


# A file with something in it takes a block, so beyond a limit's worth of blocks are those with nothing. They
# count, or a task could use up the inodes of a filesystem; the first of them do not: images have many links.
BLOCK = 4096  # bytes, of the filesystems that there are
FREE = 8192  # files


def files(limit: int | None) -> int | None:
    """How many there may be with a limit of bytes."""
    return None if limit is None else max(FREE, -(-limit // BLOCK))


def check(resources: Resources) -> None:
    """Raises InvalidRequest for one in which nothing fits, or that no filesystem counts up to."""
    if resources.disk is not None and resources.disk < MINIMUM:
        raise InvalidRequest(
            f"disk limit of {resources.disk} bytes is too small to start anything",
            hint=f"use at least {MINIMUM} bytes ({MINIMUM // MEBIBYTE}m)",
        )
    if resources.disk is not None and resources.disk > _LARGEST:
        raise InvalidRequest(f"disk limit of {resources.disk} bytes is too large", hint="leave it out")


def limitation(isolator: str, limit: int, used: int, *, fatal: bool, whole: bool = True) -> Limitation:
    """`whole`: all was measured, else there may be more."""
    told = [f"{size / MEBIBYTE:.1f} MiB" for size in (used, limit)]
    more = "" if whole else " or more"
    return Limitation(
        isolator=isolator,
        resource="disk",
        message=f"the sandbox takes {told[0]}{more}: limit {told[1]}",
        fatal=fatal,
        limit=limit,
        usage=used,
    )
