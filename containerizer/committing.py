"""Commit a container: an image of what it has written, while it stands still.

A running container is paused meanwhile, as Docker does, so that no file is half-written; one that was
paused stays so. The record of one that has ended is locked: nobody removes it meanwhile.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from containerizer import liveness
from containerizer import record as records
from containerizer.ending import Ending
from containerizer.lifecycle import State
from launcher.data import replace
from launcher.errors import InvalidRequest

if TYPE_CHECKING:
    from containerizer.containerizer import Containerizer
    from containerizer.remote import RemoteContainer
    from provisioner.image import Image
    from provisioner.saving.commit import Changes


def commit(owner: Containerizer, name: str, image: str, changes: Changes, *, pause: bool = True) -> Image:
    """Make the image `image` of a container, running or ended.

    Raises NoSuchContainer, ImageNotFound, InvalidReference, InvalidRequest, StoreError.
    """
    container = owner.get(name)
    with _unchanging(owner, container, pause=pause):
        changes = replace(changes, command=container.record.command)
        directory = owner.paths.sandbox(container.id)
        return owner.provisioner.commit(str(container.id), directory, image, changes)


@contextlib.contextmanager
def _unchanging(owner: Containerizer, container: RemoteContainer, *, pause: bool) -> Iterator[None]:
    record = container.record
    if liveness.is_running(record):
        if liveness.is_launching(record):
            raise InvalidRequest(f"container {container.id} is {record.state}", hint="try again when it runs")
        with _paused(container) if pause and not container.paused else contextlib.nullcontext():
            yield
        return
    if State(record.state) is not State.TERMINATED:
        hint = "`containerizer wait` says when it has ended"
        raise InvalidRequest(f"container {container.id} is {record.state}", hint=hint)
    end = Ending.open(owner.paths, container.id)
    if end is None:
        raise records.unknown(container.id)
    with end, end.locked():
        yield


@contextlib.contextmanager
def _paused(container: RemoteContainer) -> Iterator[None]:
    container.pause()
    try:
        yield
    finally:
        with contextlib.suppress(InvalidRequest):  # it was killed meanwhile
            container.resume()
