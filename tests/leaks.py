"""What a test may leave behind on the host, and how it is found.

`take()` before, `leaked(before)` after. Two kinds of things are looked at:

- the session's own: its descendants and its open descriptors. The session is made a subreaper, so a
  process whose parent died comes back to it and is seen, however often it forked (see
  PR_SET_CHILD_SUBREAPER in prctl(2)).
- the host's: mounts, cgroups and who is in them, network devices, named network namespaces and state
  files. Others may change these too, so `Alone` tells whether another test session runs meanwhile.

A process that is about to exit is waited for by its pidfd. Everything that follows from its end
(its cgroup, its mounts) is looked at only afterwards.
"""

from __future__ import annotations

import ctypes
import fcntl
import gc
import os
import select
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
# Seconds that a process gets to finish its exit before it counts as left running; emulated ones are slow.
PATIENCE = float(os.environ.get("CONTAINERIZER_TEST_PATIENCE", "3"))

_BETWEEN = 0.01  # seconds between two looks at what can only be looked at

PREFIX = "containerizer"  # what our cgroups and temporary directories, and those of our tests, start with
STATE_DIRECTORIES = ("/run/containerizer", "/var/lib/containerizer", "/run/netns")
TEMPORARY = ("/tmp", "/var/tmp", "/dev/shm")  # everyone's: only names like ours count there

Process = tuple[int, str]  # pid and start time: a pid alone may be used again


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """Everything that is looked at, at one moment."""

    moment: int  # in the unit of a process' start time
    processes: frozenset[Process]
    descriptors: Mapping[int, str]  # number → what it refers to
    host: frozenset[str]  # "mount /x", "cgroup /y" …


@dataclass(frozen=True, kw_only=True, slots=True)
class Leaks:
    """What is there now and was not before; each a phrase that names the thing."""

    processes: Mapping[Process, str]
    descriptors: tuple[str, ...]
    host: tuple[str, ...]

    @property
    def own(self) -> list[str]:
        return [*self.processes.values(), *self.descriptors]


def become_subreaper() -> None:
    """Make orphaned descendants children of this process. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def take() -> Snapshot:
    ticks = int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))
    return Snapshot(
        moment=ticks,
        processes=frozenset(_processes()),
        descriptors=_descriptors(),
        host=frozenset(_host()),
    )


def leaked(before: Snapshot, patience: float = PATIENCE) -> Leaks:
    """Compare with now. Waits at most `patience` seconds for processes that end, and for descriptors."""
    deadline = time.monotonic() + patience
    left = _left_running(before.processes, deadline, before.moment)
    return Leaks(
        processes={process: f"process {process[0]}: {_command(process[0])}" for process in sorted(left)},
        descriptors=_left_open(before, deadline),
        host=tuple(sorted(frozenset(_host()) - before.host)),
    )


def end(leaks: Leaks) -> None:
    """Kill the processes that were left running: the next tests start clean."""
    for pid, _ in leaks.processes:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue  # gone in the meantime
    _left_running(frozenset(_processes()) - leaks.processes.keys(), time.monotonic() + PATIENCE)


class Alone:
    """Tells whether this is the only test session on the host.

    Each session holds a shared lock on a directory that every host has, so that nothing is left
    behind; who can take it exclusively is alone.
    """

    def __init__(self, directory: str = "/run") -> None:
        self._fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(self._fd, fcntl.LOCK_SH)

    def __bool__(self) -> bool:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            fcntl.flock(self._fd, fcntl.LOCK_SH)  # a failed conversion has lost the lock: flock(2)
        return True

    def close(self) -> None:
        os.close(self._fd)


# Processes ---------------------------------------------------------------------------------------


def _left_running(known: frozenset[Process], deadline: float, since: int = 0) -> set[Process]:
    """The processes that are not known and do not end before the deadline; reaps those that do.

    One that was started before `since` was there as well: the kernel's list of children may leave some out
    while others end (proc_pid_task_tid_children(5)).
    """
    while True:
        started = {process for process in _processes() - known if int(process[1]) >= since}
        new = {process for process in started if not _is_lane_of(process[0], known)}
        running = {process for process in new if not _reap(process[0])}
        remaining = deadline - time.monotonic()
        if not running:
            if not new:
                return set()
            continue  # a process that ended may have handed its children to us
        if remaining <= 0 or not _wait_for_an_end(running, remaining):
            return running & _processes()


def _is_lane_of(pid: int, known: frozenset[Process]) -> bool:
    """Whether it launches for an agent that was there before: of those it has more when it needs them."""
    try:
        is_lane = Path(f"/proc/{pid}/comm").read_text() == "ctz:lane\n"
    except (FileNotFoundError, ProcessLookupError):
        return False
    return is_lane and any(agent == int(_stat(pid, 4) or 0) for agent, _ in known)


def _wait_for_an_end(processes: set[Process], seconds: float) -> bool:
    poll = select.poll()
    pidfds = []
    try:
        for pid, _ in processes:
            try:
                pidfd = os.pidfd_open(pid)
            except ProcessLookupError:
                return True
            pidfds.append(pidfd)
            if _state(pid) != "Z":
                poll.register(pidfd, select.POLLIN)
            elif int(_stat(pid, 4) or 0) == os.getpid():
                return True  # it has ended since we tried to reap it
            # One that its own parent has to reap would stay readable.
        return bool(poll.poll(seconds * 1000))
    finally:
        for pidfd in pidfds:
            os.close(pidfd)


def _reap(pid: int) -> bool:
    """Whether the process is gone, after collecting it if it is a zombie child of this one."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:  # a grandchild; its parent reaps it
        return not Path(f"/proc/{pid}").exists()


def _processes() -> set[Process]:
    return {(pid, started) for pid in _descendants(os.getpid()) if (started := _started(pid))}


def _descendants(pid: int) -> Iterator[int]:
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except (FileNotFoundError, ProcessLookupError):
        return  # ended while we looked; its children are ours now and seen in the next round
    for task in tasks:
        try:
            children = Path(f"/proc/{pid}/task/{task}/children").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue  # a thread that has ended: its children are another one's
        for child in map(int, children.split()):
            yield child
            yield from _descendants(child)


def _stat(pid: int, field: int) -> str:
    """One field of proc_pid_stat(5), by its number there; "" when the process is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return fields[field - 3]  # the second field, a name, may contain anything; split after it


def _started(pid: int) -> str:
    return _stat(pid, 22)


def _state(pid: int) -> str:
    return _stat(pid, 3)


def _command(pid: int) -> str:
    try:
        argv = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        return argv or f"[{Path(f'/proc/{pid}/comm').read_text().strip()}] {_state(pid)}"
    except (FileNotFoundError, ProcessLookupError):
        return "ended meanwhile"


# Descriptors -------------------------------------------------------------------------------------


def _descriptors() -> dict[int, str]:
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            continue  # the descriptor of this listing
    return found


def _left_open(before: Snapshot, deadline: float) -> tuple[str, ...]:
    """What is not known and not closed before the deadline, by a thread such as gRPC's that is about to."""
    known = before.descriptors.items()
    new = _descriptors().items() - known
    if new:
        gc.collect()  # an unreachable cycle, such as a traceback's, may hold what was let go of
        new = _descriptors().items() - known
    while new and time.monotonic() < deadline:
        time.sleep(_BETWEEN)
        new = _descriptors().items() - known
    return tuple(f"descriptor {number}: {what}" for number, what in sorted(new))


# The host ----------------------------------------------------------------------------------------


def _host() -> Iterator[str]:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        yield f"mount {line.split()[4]} ({line.partition(' - ')[2].split()[0]}, id {line.split()[0]})"
    for cgroup in _cgroups():
        yield f"cgroup {cgroup}"
        yield from (f"process {pid} in {cgroup}: {_command(pid)}" for pid in _members(cgroup))
    for device in _names("/sys/class/net"):
        yield f"network device {device}"
    for directory in STATE_DIRECTORIES:
        for name in _names(directory):
            yield f"file {directory}/{name}"
            for inner in _names(f"{directory}/{name}"):
                yield f"file {directory}/{name}/{inner}"
    for directory in TEMPORARY:
        for name in _names(directory):
            if name.startswith(PREFIX):
                yield f"file {directory}/{name}"


def _cgroups() -> Iterator[str]:
    """Every cgroup below one of ours, in every hierarchy."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        if line.partition(" - ")[2].startswith("cgroup"):
            point = line.split()[4]
            for name in _names(point):
                if name.startswith(PREFIX):
                    yield from (directory for directory, _, _ in os.walk(f"{point}/{name}"))


def _members(cgroup: str) -> list[int]:
    try:
        pids = [int(pid) for pid in Path(cgroup, "cgroup.procs").read_text().split()]
    except OSError:  # removed while we looked; a v2 threaded cgroup answers EOPNOTSUPP
        return []
    return [pid for pid in pids if pid]  # 0: not in our PID namespace


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []
