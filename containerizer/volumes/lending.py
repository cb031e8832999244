"""The volumes of a container that others may have: what it asked for, and what its image calls volumes.

The latter lie in the container's sandbox, and would go with it. So before another container has one it
becomes a volume of the store, without a name, and of the first container still: its directory is moved
there by rename(2), which who has it mounted does not notice.
"""

from __future__ import annotations

import os

from containerizer.paths import Paths
from containerizer.volumes import kept
from containerizer.volumes.words import anonymous_name
from isolators import ownership
from isolators.docker.runtime import TARGETS
from isolators.volume_store import VolumeRecord, VolumeStore
from isolators.volumes import LOCAL, NAMED, SANDBOX, Volume
from launcher.container_id import ContainerId
from launcher.kernel import files

_LARGEST = 1 << 20  # bytes of their places


def of(paths: Paths, container_id: ContainerId) -> list[Volume]:
    """Those that outlive the container as long as others have them. Raises ContainerizerError."""
    with ownership.locked(paths.container_state(container_id)):
        _move(paths, container_id)
        return [each for each in kept.of(paths, container_id) if each.kind != SANDBOX]


def _move(paths: Paths, container_id: ContainerId) -> None:
    """Whoever is killed here is followed by one who goes on where it was."""
    directory = os.path.join(paths.sandbox(container_id), "volumes")
    for number, target in enumerate(_targets(directory)):
        known = {each.target: each for each in kept.of(paths, container_id)}
        if target not in known:
            own = Volume(kind=NAMED, source=anonymous_name(), target=target, driver=LOCAL, anonymous=True)
            known[target] = own
            kept.note(paths, container_id, tuple(known.values()))
        source = os.path.join(directory, str(number))
        if os.path.isdir(source):
            store = VolumeStore(paths.volumes)
            record = VolumeRecord(name=known[target].source, anonymous=True)
            store.use(record, paths.container_state(container_id))
            os.rename(source, store.data(record.name))


def _targets(directory: str) -> list[str]:
    try:
        listed = files.read(os.path.join(directory, TARGETS), _LARGEST)
    except FileNotFoundError:
        return []
    return [os.fsdecode(each) for each in listed.split(b"\0")]
