"""How many files the processes of a container have open, as proc(5) tells it."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from containerizer import processes
from containerizer.record import ContainerRecord
from launcher.data import Data

if TYPE_CHECKING:
    from containerizer.owner import Owner

_SOFT = "Max open files"  # a line of proc_pid_limits(5)


class OpenFiles(Data, kw_only=True):
    """Of all processes together; what two of them share counts twice."""

    files: int
    sockets: int  # of those
    limit: int | None  # that the first process may have; None: no limit, or it is gone


def of_container(owner: Owner, record: ContainerRecord) -> OpenFiles:
    """Processes that end meanwhile count for nothing."""
    found = [each for pid in processes.pids_of(owner, record) for each in _opened(pid)]
    sockets = sum(each.startswith("socket:") for each in found)
    return OpenFiles(files=len(found), sockets=sockets, limit=_limit(record.pid))


def _opened(pid: int) -> list[str]:
    links: list[str] = []
    with contextlib.suppress(OSError), os.scandir(f"/proc/{pid}/fd") as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):  # it was closed meanwhile
                links.append(os.readlink(entry.path))
    return links


def _limit(pid: int | None) -> int | None:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/limits", encoding="ascii") as file:
        for line in file:
            if line.startswith(_SOFT):
                soft = line.removeprefix(_SOFT).split()[0]
                return int(soft) if soft.isdecimal() else None
    return None
