"""Readiness: wait for many descriptors in the event loop, whatever they poll.

asyncio waits for input only; the counts of a v2 cgroup poll as exceptional (EPOLLPRI). An epoll
descriptor is itself readable when one of its own is ready, so the loop has one reader for all of them.
Each is told once, and again only after `rearm`: what is done about it takes a thread and a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
from collections.abc import Callable

_EVENTS = select.EPOLLIN | select.EPOLLPRI | select.EPOLLONESHOT


class Readiness:
    """Belongs to the running loop. A descriptor must be removed before it is closed."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._epoll.fileno(), self._tell)

    def add(self, descriptor: int, callback: Callable[[], None]) -> None:
        """Call back, in the loop, when the descriptor is ready for the first time."""
        self._epoll.register(descriptor, _EVENTS)
        self._callbacks[descriptor] = callback

    def rearm(self, descriptor: int) -> None:
        """Call back again the next time; at once if it is still ready. One that was removed is fine."""
        if descriptor in self._callbacks:
            self._epoll.modify(descriptor, _EVENTS)

    def remove(self, descriptor: int) -> None:
        """Forget it. Idempotent."""
        if self._callbacks.pop(descriptor, None) is not None:
            with contextlib.suppress(OSError):  # closed by its owner, which has removed it here
                self._epoll.unregister(descriptor)

    def close(self) -> None:
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()
        self._callbacks.clear()

    def _tell(self) -> None:
        for descriptor, _ in self._epoll.poll(0):
            callback = self._callbacks.get(descriptor)
            if callback is not None:  # an earlier callback of this round may have removed it
                callback()
