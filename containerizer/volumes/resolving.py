"""What a request leaves open of its volumes: whose they are, and which another container has."""

from __future__ import annotations

from collections.abc import Sequence

from containerizer import record as records
from containerizer.paths import Paths
from containerizer.request import ContainerRequest
from containerizer.volumes import lending
from isolators.volume_store import NoSuchVolume, VolumeStore
from isolators.volumes import NAMED, Volume
from launcher.data import replace
from launcher.errors import InvalidRequest


def resolved(request: ContainerRequest, paths: Paths, others: Sequence[str] = ()) -> ContainerRequest:
    """Before the isolators are chosen. `others`: CONTAINER[:ro|:rw], whose volumes it has too.

    Raises InvalidRequest, NoSuchContainer.
    """
    own = request.config.volumes
    taken = {volume.target for volume in own} | {tmpfs.target for tmpfs in request.tmpfs}
    borrowed: dict[str, Volume] = {}
    for text in others:
        borrowed |= {each.target: each for each in _of_other(paths, text) if each.target not in taken}
    volumes = tuple(_with_driver(paths, each) for each in (*own, *borrowed.values()))
    return replace(request, config=replace(request.config, volumes=volumes))


def _with_driver(paths: Paths, volume: Volume) -> Volume:
    """As it was created, if it is there."""
    if volume.kind != NAMED or volume.driver:
        return volume
    try:
        return replace(volume, driver=VolumeStore(paths.volumes).find(volume.source).driver)
    except NoSuchVolume:
        return volume


def _of_other(paths: Paths, text: str) -> list[Volume]:
    name, _, mode = text.partition(":")
    if mode not in ("", "ro", "rw", "z", "Z"):
        hint = "write CONTAINER, CONTAINER:ro or CONTAINER:rw"
        raise InvalidRequest(f"invalid --volumes-from {text!r}", hint=hint)
    container_id = records.find(paths, name)
    changes = {"readonly": True} if mode == "ro" else {}
    # What was new has been filled and given away by now.
    return [replace(each, nocopy=True, chown=False, **changes) for each in lending.of(paths, container_id)]
