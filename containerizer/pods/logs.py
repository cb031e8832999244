"""Logs of a pod's containers: that of the run now, and that of the one before it."""

from __future__ import annotations

import os

from containerizer.logs import files_of
from containerizer.paths import Paths
from launcher.container_id import ContainerId


def keep(paths: Paths, container_id: ContainerId) -> None:
    """Its run is over, and is about to be forgotten: what it wrote stays, in place of the run before."""
    log, kept = paths.log(container_id), paths.previous_log(container_id)
    os.makedirs(os.path.dirname(kept), mode=0o700, exist_ok=True)
    for path in files_of(kept):
        os.unlink(path)
    for path in files_of(log):
        os.rename(path, kept + path.removeprefix(log))
