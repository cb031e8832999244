"""Watches that begin only when a container has run for a while.

Of a limit that a container goes on within, its end is soon enough to learn for one that ends at once; and
most of what is watched costs a launch several descriptors.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Iterable

from isolators.isolator import Watch
from isolators.resources import Limitation

AFTER = 1.0  # seconds

_SOON = 1e-6  # seconds; 0 would disarm a timer: timerfd_create(2)


class LaterWatch(Watch):
    """All of the watches that `make` yields, once the time has come; one descriptor stands for them.

    Who waits for a time as well (`due`) needs no descriptor until then, and there is none.
    """

    def __init__(self, make: Callable[[], Iterable[Watch]], after: float = AFTER) -> None:
        self._make = make
        self._due: float | None = time.monotonic() + after  # None: it has begun
        self._watches: list[Watch] = []
        self._timer = -1
        self._epoll: select.epoll | None = None
        self._closed = False

    def fileno(self) -> int | None:
        """Raises OSError."""
        return None if self._closed else self._opened().fileno()

    def due(self) -> float | None:
        return None if self._closed else self._due

    def check(self) -> Limitation | None:
        if self._due is not None and not self._closed and time.monotonic() >= self._due:
            self._begin()
        for watch in self._watches:
            if limitation := watch.check():
                return limitation
        return None

    def close(self) -> None:
        for watch in self._watches:
            watch.close()
        self._watches = []
        self._close_timer()
        if self._epoll is not None:
            self._epoll.close()
        self._closed = True

    def _opened(self) -> select.epoll:
        if self._epoll is None:
            self._epoll = select.epoll()
            if self._due is not None:
                from launcher.kernel import timerfd  # for who polls nothing but descriptors

                self._timer = timerfd.create()
                self._epoll.register(self._timer, select.EPOLLIN)
                timerfd.set_once(self._timer, max(_SOON, self._due - time.monotonic()))
        return self._epoll

    def _begin(self) -> None:
        self._due = None
        self._close_timer()
        for watch in self._make():
            self._watches.append(watch)
            descriptor = watch.fileno()
            if descriptor is not None:
                self._opened().register(descriptor, select.EPOLLIN | select.EPOLLPRI)

    def _close_timer(self) -> None:
        if self._timer >= 0:
            os.close(self._timer)
            self._timer = -1
