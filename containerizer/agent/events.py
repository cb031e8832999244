"""What happens to containers and images, told to whoever subscribes.

An observer is called in the loop, at once: counters are such. A subscription is a queue that its
reader empties at its own pace; one that is full forgets the oldest, and says how many.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from containerizer.event import Event
from isolators.resources import Limitation
from launcher.data import asdict

__all__ = ["Event", "Events", "Observer", "Subscription"]

_KEPT = 1000  # events that wait for a slow reader


Observer = Callable[[Event], None]


class Events:
    """Where everything is told."""

    def __init__(self) -> None:
        self._observers: list[Observer] = []

    def tell(self, kind: str, subject: object, **details: Any) -> None:
        event = Event(kind=kind, subject=str(subject), details=details)
        for observer in tuple(self._observers):
            observer(event)

    def tell_reached(self, subject: object, limitation: Limitation) -> None:
        """Of a limit that a container goes on within."""
        told = {name: value for name, value in asdict(limitation).items() if value is not None}
        self.tell("limit-reached", subject, **{name: told[name] for name in told if name != "fatal"})

    def observe(self, observer: Observer) -> None:
        """Call this for every event from now on."""
        self._observers.append(observer)

    async def follow(self) -> AsyncIterator[Event]:
        """Every event from now on, until the reader stops to iterate."""
        with self.subscribed() as queue:
            while True:
                yield await queue.next()

    @contextlib.contextmanager
    def subscribed(self) -> Iterator[Subscription]:
        """For who must know that it has not missed anything since this point."""
        queue = Subscription()
        self._observers.append(queue.put)
        try:
            yield queue
        finally:
            self._observers.remove(queue.put)


class Subscription:
    """The events that a reader has not taken yet."""

    def __init__(self) -> None:
        self._events: collections.deque[Event] = collections.deque()
        self._missed = 0
        self._there = asyncio.Event()

    def put(self, event: Event) -> None:
        if len(self._events) == _KEPT:
            self._events.popleft()
            self._missed += 1
        self._events.append(event)
        self._there.set()

    async def next(self) -> Event:
        await self._there.wait()
        event = self._events.popleft()
        if not self._events:
            self._there.clear()
        missed, self._missed = self._missed, 0
        return Event(
            kind=event.kind, subject=event.subject, time=event.time, details=event.details, missed=missed
        )
