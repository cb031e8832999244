"""A loop around poll(2): a handler for each descriptor, and alarms.

Handlers never block. A handler may be called for nothing, when one before it in the same turn has
closed the descriptor and its number was given away again: so it takes EAGAIN for an answer.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from typing import Protocol

IN = select.POLLIN
OUT = select.POLLOUT

Handler = Callable[[], None]


def is_ready(descriptor: int, events: int = IN, timeout: float | None = 0) -> bool:
    """Whether one of the events comes, or its other end goes, within `timeout` seconds (None: for ever).

    By poll(2), since select(2) takes no descriptor above 1023.
    """
    poll = select.poll()
    poll.register(descriptor, events)
    return bool(poll.poll(None if timeout is None else timeout * 1000))


class Watching(Protocol):
    """What those who are served by a loop may do with it."""

    def watch(self, descriptor: int, events: int, handler: Handler) -> None: ...
    def forget(self, descriptor: int) -> None: ...
    def set_alarm(self, owner: object, seconds: float, handler: Handler) -> None: ...
    def cancel_alarm(self, owner: object) -> None: ...


class Loop:
    """Descriptors have to be forgotten before they are closed."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._handlers: dict[int, Handler] = {}
        self._alarms: dict[object, tuple[float, Handler]] = {}  # by whoever has set it

    def watch(self, descriptor: int, events: int, handler: Handler) -> None:
        """Call `handler` when one of the events has come, or the other end is gone.

        No events: not even then, since that would be told again and again.
        """
        if not events:
            self.forget(descriptor)
            return
        self._poll.register(descriptor, events)
        self._handlers[descriptor] = handler

    def forget(self, descriptor: int) -> None:
        """Call nobody for it any more. One that is not watched is fine."""
        if self._handlers.pop(descriptor, None):
            self._poll.unregister(descriptor)

    def set_alarm(self, owner: object, seconds: float, handler: Handler) -> None:
        """Call `handler` once after that time; replaces an alarm that `owner` had set."""
        self._alarms[owner] = time.monotonic() + seconds, handler

    def cancel_alarm(self, owner: object) -> None:
        self._alarms.pop(owner, None)

    def turn(self, timeout: float | None = None) -> bool:
        """Wait for events, at most `timeout` seconds, and handle them. Whether there were any."""
        ready = self._poll.poll(self._milliseconds(timeout))
        for descriptor, _ in ready:
            handler = self._handlers.get(descriptor)
            if handler:
                handler()
        return self._ring() or bool(ready)

    def _milliseconds(self, timeout: float | None) -> float | None:
        if self._alarms:
            left = max(0.0, min(deadline for deadline, _ in self._alarms.values()) - time.monotonic())
            timeout = left if timeout is None else min(left, timeout)
        return None if timeout is None else timeout * 1000

    def _ring(self) -> bool:
        now = time.monotonic()
        due = [owner for owner, (deadline, _) in self._alarms.items() if deadline <= now]
        for owner in due:
            _, handler = self._alarms.pop(owner)
            handler()
        return bool(due)
