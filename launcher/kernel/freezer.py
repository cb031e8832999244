"""Stop, resume and kill all processes of a cgroup and of those below it.

v2 has a file for each: cgroup.freeze, and since Linux 5.14 cgroup.kill, which no fork(2) escapes. On
v1 the controller `freezer` stops everything: what is frozen forks nothing and ends nowhere, so the
list of its processes is the truth, and SIGKILL meets each of them as soon as it is thawed. Without
either, `pids.max` keeps a fork bomb from forking, and without that each round of signals finds fewer.
See Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/freezer-subsystem.rst and cgroup-v1/pids.rst.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from collections.abc import Callable, Iterator

from launcher.kernel import cgroups
from launcher.kernel.cgroups import CgroupError

TIMEOUT = 10.0  # seconds; a task that waits for a disk may neither freeze nor die for so long
_FREEZE_BEFORE_KILL = 1.0  # seconds; it only makes the kill surer
_BATCH = 256  # processes; each takes a descriptor for a moment
_NAMED = 5  # processes that a message tells of


def freeze(cgroup: str, timeout: float = TIMEOUT) -> None:
    """Stop every process; returns when all stand still. Raises CgroupError; then none is stopped."""
    _set_frozen(cgroup, True)
    try:
        _wait(cgroup, "cannot freeze", lambda: _stands_still(cgroup), timeout)
    except BaseException:
        _set_frozen(cgroup, False)
        raise


def thaw(cgroup: str) -> None:
    """Let the processes go on. Fine where none was stopped, or none is left. Raises CgroupError."""
    with _gone_is_fine():
        _set_frozen(cgroup, False)


def is_frozen(cgroup: str) -> bool:
    """Whether its processes are stopped, or about to be. Raises CgroupError."""
    try:
        return cgroups.read(cgroup, "freezer.state") != "THAWED"
    except CgroupError as error:
        if error.errno != errno.ENOENT:
            raise
    return cgroups.read(cgroup, "cgroup.freeze") == "1"


def kill(cgroup: str, timeout: float = TIMEOUT) -> None:
    """Kill every process, frozen ones too, and wait until none is left; for a cgroup that will be removed.

    One that is gone already is fine. Raises CgroupError naming the processes that do not end.
    """
    with _gone_is_fine():
        deadline = time.monotonic() + timeout
        while processes(cgroup):
            _signal_all(cgroup)
            pause = min(2 * _FREEZE_BEFORE_KILL, max(0.0, deadline - time.monotonic()))
            try:
                _wait(cgroup, "cannot kill what is in", lambda: not processes(cgroup), pause)
            except CgroupError:
                if time.monotonic() >= deadline:
                    raise


def processes(cgroup: str) -> list[int]:
    """The pids in the cgroup and in those below it; () where it is gone. Raises CgroupError."""
    found = []
    for directory, _, _ in os.walk(cgroup):
        with _gone_is_fine():
            found += [pid for pid in cgroups.pids(directory) if pid]  # 0: of a PID namespace above ours
    return found


def _signal_all(cgroup: str) -> None:
    if cgroups.has(cgroup, "cgroup.kill"):
        cgroups.write(cgroup, "cgroup.kill", "1")
    elif cgroups.has(cgroup, "freezer.state"):
        with contextlib.suppress(CgroupError):  # one in the midst of I/O does not freeze; nor does it fork
            freeze(cgroup, _FREEZE_BEFORE_KILL)
        _send_sigkill(cgroup)
        thaw(cgroup)
    else:
        if cgroups.has(cgroup, "pids.max"):
            cgroups.write(cgroup, "pids.max", "0")
        _send_sigkill(cgroup)


def _send_sigkill(cgroup: str) -> None:
    found = processes(cgroup)
    for start in range(0, len(found), _BATCH):
        with contextlib.ExitStack() as opened:
            pidfds = {}
            for pid in found[start : start + _BATCH]:
                with contextlib.suppress(ProcessLookupError):
                    pidfds[pid] = os.pidfd_open(pid)
                    opened.callback(os.close, pidfds[pid])
            # A pid may be another process' by now. Who is in the list after its pidfd was opened is ours.
            for pid in pidfds.keys() & set(processes(cgroup)):
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(pidfds[pid], signal.SIGKILL)


def _set_frozen(cgroup: str, frozen: bool) -> None:
    if cgroups.has(cgroup, "freezer.state"):
        cgroups.write(cgroup, "freezer.state", "FROZEN" if frozen else "THAWED")
    elif frozen or cgroups.has(cgroup, "cgroup.freeze"):
        cgroups.write(cgroup, "cgroup.freeze", str(int(frozen)))


def _stands_still(cgroup: str) -> bool:
    if cgroups.has(cgroup, "freezer.state"):
        return cgroups.read(cgroup, "freezer.state") == "FROZEN"  # FREEZING until the last one does
    return cgroups.read_flat(cgroup, "cgroup.events")["frozen"] == 1


def _wait(cgroup: str, what: str, done: Callable[[], bool], timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while not done():
        if time.monotonic() >= deadline:
            hint = f"still there: {describe(processes(cgroup))}"
            raise CgroupError(f"{what} cgroup {cgroup}", OSError(errno.ETIMEDOUT, ""), hint=hint)
        cgroups.await_change(cgroup)


def describe(pids: list[int]) -> str:
    """A few of the processes for people: pid, name, state."""
    named = ", ".join(_describe(pid) for pid in pids[:_NAMED])
    return f"{named} …" if len(pids) > _NAMED else named


def _describe(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            name, _, rest = file.read().partition("(")[2].rpartition(")")
    except OSError:
        return f"{pid} (gone by now)"
    waits = ", waiting uninterruptibly" if rest.split()[0] == "D" else ""
    return f"{pid} ({name}, state {rest.split()[0]}{waits})"


@contextlib.contextmanager
def _gone_is_fine() -> Iterator[None]:
    """ENODEV: the directory was removed while its file was open."""
    try:
        yield
    except CgroupError as error:
        if error.errno not in (errno.ENOENT, errno.ENODEV):
            raise
