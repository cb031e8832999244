"""The processes of a running container, as proc(5) describes them.

They are those in its cgroups, in what is nested in it too; zombies have left theirs. A container
without cgroups has those in its own PID namespace; without that, what its task has started and not
handed to somebody else.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from containerizer import ids, liveness
from containerizer import record as records
from containerizer.record import ContainerRecord
from launcher.data import Data
from launcher.errors import ContainerizerError

if TYPE_CHECKING:
    from containerizer.owner import Owner

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_MAX_COMMAND = 64 * 1024  # bytes of a command line that are read
_MAX_PASSWD = 1 << 20  # bytes of an image's file
_GONE = (FileNotFoundError, ProcessLookupError)


class Process(Data, kw_only=True):
    """One process."""

    container: str  # the innermost one that it is in
    pid: int  # on the host
    parent: int  # on the host
    container_pid: int | None  # in the container; None for one that it does not see
    uid: int  # in the container
    user: str  # by the container's /etc/passwd, or the uid as text
    state: str  # a letter of proc_pid_stat(5)
    cpu_seconds: float  # user and system time
    cpu_percent: float  # of one CPU, since the process started
    rss_bytes: int
    command: tuple[str, ...]  # `[name]` for one that has none


def of_container(owner: Owner, record: ContainerRecord) -> list[Process]:
    """Those of a container whose first process runs, by their pids; what ends meanwhile is left out."""
    described = _Described(owner, record)
    within = _containers(owner, record)
    found = {
        pid: described.process(pid, within.get(pid, record.container_id)) for pid in pids_of(owner, record)
    }
    still = set(pids_of(owner, record))  # another pid was somebody else's by the time that we looked
    return [process for pid, process in sorted(found.items()) if process is not None and pid in still]


def _containers(owner: Owner, record: ContainerRecord) -> dict[int, str]:
    """Of what is in nested ones: by pid, which."""
    found: dict[int, str] = {}
    for container_id in records.nested(owner.paths, record.id):
        with contextlib.suppress(records.NoSuchContainer):
            inner = records.load(owner.paths, container_id)
            if liveness.is_running(inner):
                found |= dict.fromkeys(pids_of(owner, inner), inner.container_id) | _containers(owner, inner)
    return found


def pids_of(owner: Owner, record: ContainerRecord) -> list[int]:
    for isolator in owner.isolators_of(record):
        pids = isolator.processes(record.id)
        if pids is not None:
            return pids
    if record.pid is None or record.supervisor is None:
        return []
    descendants = list(liveness.descendants(record.supervisor))
    with contextlib.suppress(*_GONE):
        if _status(record.pid)["NSpid"][-1] == "1":
            namespace = os.stat(f"/proc/{record.pid}/ns/pid").st_ino
            return sorted({*descendants, *_in_namespace(namespace)})
    return descendants


def _in_namespace(namespace: int) -> Iterator[int]:
    """Also those that have entered it, as commands of `exec` do."""
    for name in os.listdir("/proc"):
        if name.isdecimal():
            with contextlib.suppress(*_GONE, PermissionError):  # a stranger's, into which we may not look
                if os.stat(f"/proc/{name}/ns/pid").st_ino == namespace:
                    yield int(name)


class _Described:
    """What is the same for all processes of a container."""

    def __init__(self, owner: Owner, record: ContainerRecord) -> None:
        self._level = 0
        self._ids = ids.Ids()
        with contextlib.suppress(*_GONE):
            self._level = len(_status(record.pid)["NSpid"]) - 1
            self._ids = ids.ids_of(record.pid)
        self._users = _users(owner, record)
        with open("/proc/uptime", encoding="ascii") as file:
            self._uptime = float(file.read().split()[0])

    def process(self, pid: int, container: str) -> Process | None:
        """None when it is gone."""
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                name, _, rest = file.read().partition("(")[2].rpartition(")")
            status, fields = _status(pid), rest.split()  # the first of them is field 3 of proc_pid_stat(5)
            command = _command(pid) or (f"[{name}]",)
        except _GONE:
            return None
        seconds = (int(fields[11]) + int(fields[12])) / _TICKS
        age = self._uptime - int(fields[19]) / _TICKS
        uid = ids.inside(self._ids.uids, int(status["Uid"][1]))
        pids = status["NSpid"]
        return Process(
            container=container,
            pid=pid,
            parent=int(fields[1]),
            container_pid=int(pids[self._level]) if len(pids) > self._level else None,
            uid=uid,
            user=self._users.get(uid, str(uid)),
            state=fields[0],
            cpu_seconds=seconds,
            cpu_percent=round(100 * seconds / age, 1) if age > 0 else 0.0,
            rss_bytes=int(fields[21]) * _PAGE,
            command=command,
        )


def _status(pid: int | None) -> dict[str, list[str]]:
    """The fields of proc_pid_status(5)."""
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
        lines = (line.partition(":") for line in file)
        return {name: value.split() for name, _, value in lines}


def _command(pid: int) -> tuple[str, ...]:
    with open(f"/proc/{pid}/cmdline", "rb", buffering=0) as file:
        words = file.read(_MAX_COMMAND).rstrip(b"\0")
    return tuple(word.decode("utf-8", "replace") for word in words.split(b"\0")) if words else ()


def _users(owner: Owner, record: ContainerRecord) -> Mapping[int, str]:
    """Names by their ids, the first one of each, as far as the container's file makes sense."""
    from containerizer.copying import roots
    from launcher.kernel.safe_path import open_beneath

    names: dict[int, str] = {}
    with contextlib.suppress(ContainerizerError, OSError), roots.of_container(owner, record.id) as root:
        node = open_beneath(root.descriptor, "/etc/passwd", os.O_PATH)
        try:
            if stat.S_ISREG(os.fstat(node).st_mode):
                with open(f"/proc/self/fd/{node}", "rb") as file:
                    names = _names(file.read(_MAX_PASSWD).decode("utf-8", "replace"))
        finally:
            os.close(node)
    return names


def _names(passwd: str) -> dict[int, str]:
    names: dict[int, str] = {}
    for line in passwd.splitlines():
        fields = line.split(":")
        if len(fields) == 7 and fields[0] and fields[2].isascii() and fields[2].isdecimal():
            names.setdefault(int(fields[2][:10]), fields[0])
    return names
