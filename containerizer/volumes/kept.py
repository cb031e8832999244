"""What a container's volumes were, for as long as it is there."""

from __future__ import annotations

import contextlib
import json

from containerizer import checkpoint
from containerizer.agent.lanes.codec import decode, encode
from containerizer.paths import Paths
from isolators.volume_store import NoSuchVolume, VolumeInUse, VolumeStore
from isolators.volumes import CSI, SECRET, Volume
from launcher.container_id import ContainerId


def note(paths: Paths, container_id: ContainerId, volumes: tuple[Volume, ...]) -> None:
    """Before they are made: whoever takes the launch back finds those that were made for it."""
    # What may be secret of them nobody else is to have.
    kept = [encode(each) for each in volumes if each.kind not in (SECRET, CSI)]
    checkpoint.write_text(paths.volumes_of(container_id), json.dumps(kept))


def of(paths: Paths, container_id: ContainerId) -> tuple[Volume, ...]:
    """Those that it asked for; none if it is unknown."""
    try:
        with open(paths.volumes_of(container_id), encoding="utf-8") as file:
            return tuple(decode(Volume, each) for each in json.load(file))
    except (FileNotFoundError, ValueError):
        return ()


def remove_own(paths: Paths, container_id: ContainerId) -> None:
    """Remove the volumes that were made for it, unless others have them. Idempotent."""
    store = VolumeStore(paths.volumes)
    for volume in of(paths, container_id):
        if volume.anonymous:
            store.release(volume.source, paths.container_state(container_id))
            with contextlib.suppress(NoSuchVolume, VolumeInUse):
                store.remove(volume.source)
