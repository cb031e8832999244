"""One task's part of a relay's loop: a defect in what is done for it is its own, and nobody else's."""

from __future__ import annotations

from collections.abc import Callable

from launcher.io.loop import Handler, Watching


class GuardedLoop:
    """Passes on to a loop; calls `failed` with what a handler raises."""

    def __init__(self, loop: Watching, failed: Callable[[Exception], None]) -> None:
        self._loop = loop
        self._failed = failed
        self._watched: set[int] = set()
        self._owners: set[object] = set()

    def watch(self, descriptor: int, events: int, handler: Handler) -> None:
        self._watched.add(descriptor)
        self._loop.watch(descriptor, events, lambda: self._call(handler))

    def forget(self, descriptor: int) -> None:
        self._watched.discard(descriptor)
        self._loop.forget(descriptor)

    def set_alarm(self, owner: object, seconds: float, handler: Handler) -> None:
        self._owners.add(owner)
        self._loop.set_alarm(owner, seconds, lambda: self._call(handler))

    def cancel_alarm(self, owner: object) -> None:
        self._owners.discard(owner)
        self._loop.cancel_alarm(owner)

    def let_go(self) -> None:
        """Forget everything."""
        for descriptor in tuple(self._watched):
            self.forget(descriptor)
        for owner in tuple(self._owners):
            self.cancel_alarm(owner)

    def _call(self, handler: Handler) -> None:
        try:
            handler()
        except Exception as error:  # whatever it is: the others' output must not wait
            self._failed(error)
