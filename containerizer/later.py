"""Watches that begin only when a container has run for a while.

Of a limit that a container goes on within, its end is soon enough to learn for one that ends at once; and
most of what is watched costs a launch several descriptors.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterable

from isolators.isolator import Watch
from isolators.resources import Limitation
from launcher.kernel import timerfd

AFTER = 1.0  # seconds


class LaterWatch(Watch):
    """All of the watches that `make` yields, once the time has come; one descriptor stands for them."""

    def __init__(self, make: Callable[[], Iterable[Watch]], after: float = AFTER) -> None:
        """Raises OSError."""
        self._make = make
        self._watches: list[Watch] = []
        self._timer = timerfd.create()
        self._epoll = select.epoll()
        self._epoll.register(self._timer, select.EPOLLIN)
        timerfd.set_once(self._timer, after)

    def fileno(self) -> int | None:
        return None if self._epoll.closed else self._epoll.fileno()

    def check(self) -> Limitation | None:
        if self._timer >= 0 and self._epoll.poll(0):
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
        self._epoll.close()

    def _begin(self) -> None:
        self._close_timer()
        for watch in self._make():
            self._watches.append(watch)
            descriptor = watch.fileno()
            if descriptor is not None:
                self._epoll.register(descriptor, select.EPOLLIN | select.EPOLLPRI)

    def _close_timer(self) -> None:
        if self._timer >= 0:
            os.close(self._timer)
            self._timer = -1
