"""Prune: free the space of images that nobody uses, by age, until there is room again, or all of them.

Theory: when an image was used last is when it was pulled or a container was made of it, the time of its
record. What a container uses, and what a pull at work has claimed, stays whatever is asked for.
"""

from __future__ import annotations

import os
import time

from launcher.data import Data
from provisioner.errors import InvalidReference
from provisioner.image import Image
from provisioner.reference import ImageReference
from provisioner.store import partials
from provisioner.store.store import Store


class Criteria(Data, kw_only=True):
    """Which images go. By default none: then only what interrupted pulls had does."""

    everything: bool = False
    unused_for: float | None = None  # seconds
    headroom: float | None = (
        None  # of the store's filesystem that is to be free, 0 to 1: the oldest go until it is
    )
    fresh: float = (
        0.0  # seconds in which what was pulled or used stays, for all that headroom: a launch follows
    )
    excluded: tuple[str, ...] = ()  # references of images that stay


class Pruned(Data, kw_only=True):
    """What has gone."""

    images: tuple[Image, ...]
    freed: int  # bytes of files in layers, and of partial blobs


def prune(store: Store, criteria: Criteria) -> Pruned:
    """Raises InvalidReference, OSError."""
    if criteria.headroom is not None and not 0 <= criteria.headroom <= 1:
        raise InvalidReference(f"headroom {criteria.headroom} is not between 0 and 1")
    before = _size(store)
    store.sweep(interrupted=False)
    gone: list[Image] = []
    if criteria.everything or criteria.unused_for is not None:
        gone += store.discard(
            _candidates(store, criteria), spare_since=time.time() - (criteria.unused_for or 0.0)
        )
    if criteria.headroom is not None:
        gone += _make_room(store, criteria, criteria.headroom)
    return Pruned(images=tuple(gone), freed=max(0, before - _size(store)))


def _size(store: Store) -> int:
    return store.layers_size() + partials.total(store.paths)


def _make_room(store: Store, criteria: Criteria, headroom: float) -> list[Image]:
    """Mesos' rule, but the oldest first and no more than it takes: usage + headroom > 1 is too much."""
    gone: list[Image] = []
    for image in sorted(_candidates(store, criteria), key=store.used_at):
        if _usage(store.paths.root) + headroom <= 1:
            break
        gone += store.discard([image], spare_since=time.time() - criteria.fresh)
    return gone


def _candidates(store: Store, criteria: Criteria) -> list[Image]:
    excluded = {str(ImageReference.parse(text)) for text in criteria.excluded}
    kept = {image.digest for image in store.images() if image.reference in excluded}
    return [image for image in store.images() if image.digest not in kept]


def _usage(path: str) -> float:
    """The part of the filesystem that is used, as df(1) counts: what is root's only counts as used."""
    try:
        status = os.statvfs(path)
    except FileNotFoundError:  # no store yet
        return 0.0
    used = status.f_blocks - status.f_bfree
    return used / (used + status.f_bavail) if used + status.f_bavail else 0.0
