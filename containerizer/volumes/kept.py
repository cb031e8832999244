"""What a container's volumes were, for as long as it is there."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from containerizer import checkpoint
from containerizer.codec import decode, encode
from containerizer.paths import Paths
from isolators.flags import IsolatorFlags
from isolators.volumes import CSI, SECRET, Volume
from launcher.container_id import ContainerId
from launcher.data import fields
from launcher.errors import ContainerizerError, InvalidRequest
from launcher.kernel import files

_LARGEST = 1 << 22  # bytes of the file


def note(paths: Paths, container_id: ContainerId, volumes: tuple[Volume, ...]) -> None:
    """Before they are made: whoever takes the launch back finds those that were made for it."""
    # What may be secret of them nobody else is to have.
    kept = [encode(each) for each in volumes if each.kind not in (SECRET, CSI)]
    checkpoint.write_text(paths.volumes_of(container_id), json.dumps(kept))


def of(paths: Paths, container_id: ContainerId) -> tuple[Volume, ...]:
    """Those that it asked for; none if it is unknown. What makes no sense is left out, as in records."""
    try:
        listed = json.loads(files.read(paths.volumes_of(container_id), _LARGEST))
    except (FileNotFoundError, ValueError):
        return ()
    found = map(_volume, listed if isinstance(listed, list) else ())
    return tuple(volume for volume in found if volume is not None)


def remove_own(paths: Paths, flags: IsolatorFlags, container_id: ContainerId) -> None:
    """Remove the volumes that were made for it, unless others have them. Idempotent.

    One whose driver does not answer stays in the list of volumes, where `volume prune` finds it: the
    container is not kept for it.
    """
    from containerizer.volumes.manager import Volumes

    volumes = Volumes(paths, flags)
    for volume in of(paths, container_id):
        if volume.anonymous:
            volumes.release(volume.source, paths.container_state(container_id))
            with contextlib.suppress(ContainerizerError):
                volumes.remove(volume.source, force=True)


def _volume(value: Any) -> Volume | None:
    """A field that another version has written is left out."""
    known = {each.name for each in fields(Volume)}
    try:
        return decode(Volume, {name: item for name, item in value.items() if name in known})
    except (TypeError, KeyError, ValueError, AttributeError, InvalidRequest):
        return None
