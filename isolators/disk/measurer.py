"""The measurer: one process a host that walks the sandboxes, so that no launch and no agent waits for a disk.

It runs when nothing else wants to (nice, and the idle class of input and output), looks at a few thousand
files at a time, the containers in turn, and then rests three times as long as that took: a tree of millions
of files takes long, but never the host. A container that is over its limit in two passes in a row, for what
is moved under a walk may be counted twice, is killed, as the kernel kills for memory: whoever watches it
(the launcher, an agent, or nobody but its supervisor) finds here why.

Between two passes it asks once a second how much room the filesystem has left. When that shrank by what the
container may still use, the next pass begins: who writes fast does not write for a whole interval.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from typing import Protocol

from isolators.disk.register import ASKED, FOUND, Asked, Found, read_asked, tell
from isolators.disk.walk import Walk
from launcher.kernel import inotify, process, project_quota

_STEP = 2000  # entries: about 10 ms where the kernel has them in memory
_REST = 3  # times as long as a step took
_GLANCE = 1.0  # seconds between two looks at the room that is left
_PASSES = 2  # that must find too much
_CHANGES = inotify.MOVED_TO | inotify.DELETE
_NEVER = float("inf")
_OOM_SCORE_ADJ = -900  # who keeps limits should not be the first that is killed for want of memory


class Measurement(Protocol):
    """One way to find out what a container uses, in steps."""

    @property
    def total(self) -> int: ...
    def step(self, entries: int) -> bool: ...
    def close(self) -> None: ...


class Measured:
    """One container, as the measurer sees it."""

    def __init__(self, path: str, asked: Asked) -> None:
        self._path = path  # of both files, without what tells them apart
        self.asked = asked
        self.due = 0.0  # when the next pass begins, by the monotonic clock
        self._measurement: Measurement | None = None
        self._used: int | None = None
        self._over = 0  # passes in a row
        self._room = 0  # bytes that the filesystem had when the last pass ended
        self._earliest = 0.0  # when a pass may begin that was not due
        self._began = 0.0

    @property
    def is_measured_now(self) -> bool:
        return self._measurement is not None

    @property
    def next_look(self) -> float:
        """When there is something to do."""
        return min(self.due, self._earliest + _GLANCE) if self._allowance() is not None else self.due

    def ask(self, asked: Asked) -> None:
        """The limit has changed, or the task has come: look soon."""
        if asked.pid != self.asked.pid:  # another container of the same name
            self.close()
        if asked != self.asked:
            self.asked, self.due, self._over = asked, 0.0, 0

    def begin_if_due(self, now: float) -> None:
        if self._measurement is None and (now >= self.due or self._fills(now)):
            self._measurement, self._began = _measurement(self.asked), now

    def step(self) -> None:
        """A part of a pass. Raises OSError."""
        assert self._measurement is not None
        limit = self.asked.limit if self.asked.enforced else None
        done = self._measurement.step(_STEP)
        over = limit is not None and self._measurement.total > limit
        if done or over:
            self._used = self._measurement.total
            self.close()
            self._conclude(over=over)

    def close(self) -> None:
        """Give up the pass. Idempotent."""
        if self._measurement is not None:
            self._measurement.close()
            self._measurement = None

    def _conclude(self, *, over: bool) -> None:
        now = time.monotonic()
        self._over = self._over + 1 if over else 0
        killed = self._over >= _PASSES
        tell(self._path + FOUND, Found(used=self._used, over=self._used if killed else None))
        self._room = _room(self.asked.sandbox)
        self._earliest = now + _REST * (now - self._began)
        self.due = now if over else now + self.asked.interval
        if killed:
            self.due = _NEVER
            _kill(self.asked)

    def _allowance(self) -> int | None:
        """Bytes that it may use beyond those found; None where that is no matter of life and death."""
        asked = self.asked
        if asked.limit is None or not asked.enforced or self._used is None or self.due == _NEVER:
            return None
        return max(0, asked.limit - self._used)

    def _fills(self, now: float) -> bool:
        allowance = self._allowance()
        if allowance is None or now < self._earliest + _GLANCE:
            return False
        self._earliest = now
        return self._room - _room(self.asked.sandbox) > allowance


class Measurer:
    """All containers of a directory."""

    def __init__(self, directory: str, locked: int) -> None:
        """`locked`: the directory, open. Raises OSError."""
        self._directory = directory
        self._locked = locked  # by which it is named: at its path there may be another by now
        self._containers: dict[str, Measured] = {}
        self._changes = inotify.Changes(f"/proc/self/fd/{locked}", _CHANGES)
        self._poll = select.poll()
        self._poll.register(self._changes, select.POLLIN)
        self._read()

    def run(self) -> None:
        """Until nothing is left to measure."""
        while not self._is_over():
            rest = self._work()
            if self._poll.poll(None if rest is None else rest * 1000):
                self._changes.forget()
                self._read()

    def _work(self) -> float | None:
        """One step for whoever has waited longest; how long to rest. None: until something changes."""
        now = time.monotonic()
        for container in self._containers.values():
            container.begin_if_due(now)
        for path, container in self._containers.items():
            if container.is_measured_now:
                self._step(path, container)
                return _REST * (time.monotonic() - now)
        looks = [container.next_look for container in self._containers.values()]
        first = min(looks, default=_NEVER)
        return None if first == _NEVER else max(0.0, first - now)

    def _step(self, path: str, container: Measured) -> None:
        try:
            container.step()
        except OSError:  # the disk fails: the next pass may do better
            container.close()
            container.due = time.monotonic() + container.asked.interval
        self._containers[path] = self._containers.pop(path)  # to the end of the queue

    def _read(self) -> None:
        """Who is to be measured."""
        asked: dict[str, Asked] = {}
        for name in os.listdir(self._locked):
            path, suffix = os.path.splitext(os.path.join(self._directory, name))
            if suffix == ASKED and (wanted := read_asked(path + ASKED)) and wanted.pid is not None:
                asked[path] = wanted
        for path in self._containers.keys() - asked.keys():
            self._containers.pop(path).close()
        for path, wanted in asked.items():
            self._containers.setdefault(path, Measured(path, wanted)).ask(wanted)

    def _is_over(self) -> bool:
        """Whether the directory is gone. It goes when it is empty; nobody can get into one that is gone."""
        with contextlib.suppress(OSError):
            os.rmdir(self._directory)
        return os.fstat(self._locked).st_nlink == 0


class _Quota:
    """What a project's quota says: one step is all."""

    def __init__(self, sandbox: str, project: int) -> None:
        self.total = 0
        self._sandbox, self._project = sandbox, project

    def step(self, entries: int) -> bool:
        directory = os.open(self._sandbox, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self.total = project_quota.read(directory, self._project).used
        finally:
            os.close(directory)
        return True

    def close(self) -> None:
        pass


def _measurement(asked: Asked) -> Measurement:
    return Walk(asked.sandbox) if asked.project is None else _Quota(asked.sandbox, asked.project)


def _room(directory: str) -> int:
    """Bytes that are free on its filesystem."""
    try:
        status = os.statvfs(directory)
    except OSError:
        return 0
    return status.f_bfree * status.f_frsize


def _kill(asked: Asked) -> None:
    """As the kernel would; a task in cgroup v1's freezer dies when it goes on."""
    if asked.pid is None:
        return
    with contextlib.suppress(ProcessLookupError):
        pidfd = os.pidfd_open(asked.pid)
        try:
            if process.started_at(asked.pid) == asked.started:  # looked at after: so both are of one process
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        finally:
            os.close(pidfd)


def main(directory: str, locked: int) -> None:
    """Entry: `locked` is the directory, inherited with the lock on it."""
    process.set_name("ctz:disk")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # of a whole session or cgroup
        signal.signal(number, signal.SIG_IGN)
    os.chdir("/")
    process.be_idle()
    with contextlib.suppress(OSError):  # of an ordinary user
        process.set_oom_score_adj(_OOM_SCORE_ADJ)
    Measurer(directory, locked).run()
