"""What a start finds on the state directory, told apart before anything is done about it.

Files may be missing, empty or torn, or of an older version; directories may be half made, by who was
killed. Nothing here trusts more
than it has checked, and nothing raises: what makes no sense is listed as such.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from containerizer import record as records
from containerizer.ending import Ending
from containerizer.paths import Paths
from containerizer.record import ContainerRecord
from launcher.container_id import ContainerId
from launcher.data import Data
from launcher.errors import ContainerizerError, InvalidRequest
from launcher.remove_tree import remove_tree

_MAKING = re.compile(r"[^.]+\.(\d+)\.new")  # see containerizer.record.reserve


class Survey(Data, kw_only=True):
    """Parents come before what is in them."""

    records: tuple[ContainerRecord, ...]
    broken: tuple[ContainerId, ...]  # there is a directory, and no record that makes sense
    strange: tuple[str, ...]  # paths that no container can have


def survey(paths: Paths) -> Survey:
    """Look at everything; what an interrupted launch had begun to make is removed."""
    found: list[ContainerRecord] = []
    broken: list[ContainerId] = []
    strange: list[str] = []
    for container_id in _directories(paths, None, strange):
        try:
            record = records.load(paths, container_id)
        except (ContainerizerError, OSError):
            broken.append(container_id)
        else:
            found.append(record)
            _complete(paths, record)
    return Survey(records=tuple(found), broken=tuple(broken), strange=tuple(strange))


def booted_at() -> float:
    """Seconds since the epoch: proc_stat(5)."""
    with open("/proc/stat", encoding="ascii") as file:
        return next(float(line.split()[1]) for line in file if line.startswith("btime"))


def _directories(paths: Paths, parent: ContainerId | None, strange: list[str]) -> Iterator[ContainerId]:
    directory = paths.nested(parent)
    try:
        names = sorted(os.listdir(directory))
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in names:
        path = os.path.join(directory, name)
        if making := _MAKING.fullmatch(name):
            if not os.path.exists(f"/proc/{making[1]}"):
                remove_tree(path)
            continue
        try:
            container_id = ContainerId(name, parent)
        except InvalidRequest:
            strange.append(path)
            continue
        if not os.path.isdir(path) or os.path.islink(path):
            strange.append(path)
            continue
        yield container_id
        yield from _directories(paths, container_id, strange)


def _complete(paths: Paths, record: ContainerRecord) -> None:
    """Without the file `ending` nobody could end the container."""
    if not os.path.exists(paths.ending(record.id)):
        descriptor = os.open(paths.ending(record.id), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.close(descriptor)
        ended, end = record.ended, Ending.open(paths, record.id)
        if end is not None:
            with end:
                if ended is not None and record.state == "terminated":
                    end.say(ended)
