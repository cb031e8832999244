"""What several files of a cgroup have to tell, as one descriptor to poll: for the watches of isolators.

An epoll descriptor is readable while one of its own is. A source is told once for each time that the
kernel says so (EPOLLET), since a file of a cgroup stays ready until it is read; and one that has nothing
more to tell is dropped, so that a container that keeps running into its limit keeps nobody busy.
"""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Callable, Iterable

from isolators.isolator import Watch
from isolators.resources import Limitation
from launcher.kernel import cgroups
from launcher.kernel.cgroups import CgroupError

_MOST = 16  # sources that are told at once
_FIRST_PAUSE, _LAST_PAUSE = 1.0, 60.0  # seconds


class Notices:
    """Owns its sources."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._sources: set[int] = set()
        self._timer: int | None = None
        self._pause = self._longest = 0.0

    def fileno(self) -> int:
        return self._epoll.fileno()

    def add(self, descriptor: int, events: int = select.EPOLLIN) -> None:
        """Poll this one too; it is closed with the others."""
        self._sources.add(descriptor)
        self._epoll.register(descriptor, events | select.EPOLLET)

    def add_file(self, cgroup: str, file: str) -> None:
        """An interface file that polls when it has changed since it was read. Raises CgroupError.

        Its change is an exceptional condition; readable it is always, as every file is.
        """
        path = os.path.join(cgroup, file)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise CgroupError(f"cannot read {path}", error) from error
        os.read(descriptor, 4096)  # arms it
        self.add(descriptor, select.EPOLLPRI)

    def add_v1_event(self, cgroup: str, file: str, argument: str = "") -> None:
        """What v1 tells of this file. Raises CgroupError."""
        self.add(_v1_event(cgroup, file, argument))

    def add_timer(self, first: float = _FIRST_PAUSE, last: float = _LAST_PAUSE) -> None:
        """Look again from time to time, less and less often: for what the kernel only counts.

        The pauses are of so many seconds, from the first one to the longest.
        """
        from launcher.kernel import timerfd

        self._pause, self._longest = first, last
        self._timer = timerfd.create()
        self.add(self._timer)
        timerfd.set_once(self._timer, self._pause)

    def take(self) -> set[int]:
        """The sources that have told something since."""
        told = {descriptor for descriptor, _ in self._epoll.poll(0, _MOST)}
        if self._timer in told:
            self._wind(self._timer)
        return told

    def _wind(self, timer: int) -> None:
        from launcher.kernel import timerfd

        self._pause = min(2 * self._pause, self._longest)
        timerfd.set_once(timer, self._pause)

    def drop(self) -> None:
        """Poll nothing any more."""
        for descriptor in self._sources:
            os.close(descriptor)
        self._sources.clear()
        self._timer = None

    def close(self) -> None:
        """Idempotent."""
        self.drop()
        self._epoll.close()


class V1Event:
    """What v1 tells of one file, and nothing else: polled as it is."""

    def __init__(self, cgroup: str, file: str) -> None:
        """Raises CgroupError."""
        self._eventfd: int | None = _v1_event(cgroup, file)

    def fileno(self) -> int | None:
        return self._eventfd

    def take(self) -> None:
        """What was told is known: wait for the next."""
        if self._eventfd is not None:
            with contextlib.suppress(BlockingIOError):  # nothing was
                os.eventfd_read(self._eventfd)

    def close(self) -> None:
        """Idempotent."""
        if self._eventfd is not None:
            os.close(self._eventfd)
            self._eventfd = None


def _v1_event(cgroup: str, file: str, argument: str = "") -> int:
    """An eventfd that v1 counts up for what happens to the file. Raises CgroupError.

    See Documentation/admin-guide/cgroup-v1/memory.rst, sections 9 and 11.
    """
    eventfd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    path = os.path.join(cgroup, file)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            cgroups.write(cgroup, "cgroup.event_control", f"{eventfd} {descriptor} {argument}".rstrip())
        finally:
            os.close(descriptor)
    except OSError as error:
        os.close(eventfd)
        raise CgroupError(f"cannot read {path}", error) from error
    except BaseException:
        os.close(eventfd)
        raise
    return eventfd


class OnceWatch(Watch):
    """Tells what `look` finds, each resource once, and nothing more when it has told `most` of them."""

    def __init__(self, notices: Notices, look: Callable[[], Iterable[Limitation]], most: int = 1) -> None:
        self._notices = notices
        self._look = look
        self._most = most
        self._told: set[str] = set()

    def fileno(self) -> int | None:
        return self._notices.fileno()

    def check(self) -> Limitation | None:
        self._notices.take()
        for limitation in () if len(self._told) >= self._most else self._look():
            if limitation.resource not in self._told:
                self._told.add(limitation.resource)
                if len(self._told) >= self._most:
                    self._notices.drop()
                return limitation
        return None

    def close(self) -> None:
        self._notices.close()
