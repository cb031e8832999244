"""subPath: a part of a volume in a container, made if it is missing, and never outside of the volume.

Containers write to volumes, also while another one starts. So each name is opened below descriptors, with
the volume's root as the / of every link, and whoever binds the part opens it once more in this way:
`Mount.part` (CVE-2017-1002101, CVE-2021-25741). A directory that is made has the mode of the volume.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping

from containerizer.pods.containers import PodContainer
from containerizer.pods.volumes import Place
from launcher.errors import InvalidRequest
from launcher.kernel.safe_path import make_directories, open_beneath

_DANGLING = "a link on the way leads to nothing in the volume"
_DIRECTORY = os.O_PATH | os.O_DIRECTORY


def make(container: PodContainer, places: Mapping[str, Place]) -> None:
    """Have every part that it mounts be there. Raises InvalidRequest."""
    for mount in container.mounts:
        if mount.sub_path:
            try:
                os.close(_open(places[mount.volume], mount.sub_path))
            except OSError as error:
                why = _DANGLING if error.errno == errno.EEXIST else os.strerror(error.errno or 0).lower()
                what = f"volume {mount.volume}: subPath {mount.sub_path!r}: {why}"
                raise InvalidRequest(what) from error


def _open(place: Place, path: str) -> int:
    root = os.open(place.path if place.part else place.seen, _DIRECTORY | os.O_CLOEXEC)
    path = os.path.join(place.part, path)
    try:
        try:
            return open_beneath(root, path, os.O_PATH)
        except FileNotFoundError:
            return make_directories(root, path, os.fstat(root).st_mode & 0o7777)
    finally:
        os.close(root)
