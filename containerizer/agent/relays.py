"""Relays of an agent's tasks: when one is killed that is told, and the next one takes its tasks over.

A connection to each tells its end; one that has nothing left to serve stays while we hold that, as it does
for the lanes that have used it. What it would leave to the next one (launcher.io.adoption) says that it
was killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable
from functools import partial

from containerizer.agent.events import Events
from containerizer.containerizer import Containerizer
from launcher import attach_protocol
from launcher.io.relays import Relays

_PAUSE = 1.0  # seconds before another try

Call = Callable[[Callable[[Containerizer], None]], Awaitable[None]]


class RelayWatch:
    """Belongs to one event loop."""

    def __init__(self, directory: str, events: Events, call: Call) -> None:
        """`call` has something done in a thread."""
        self._directory = directory
        self._events = events
        self._call = call
        self._held: dict[str, socket.socket] = {}
        self._reviving: set[asyncio.Task[None]] = set()

    def look(self) -> None:
        """Watch those that have come since the last time."""
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(self._directory):
                if name.endswith(".sock") and name not in self._held:
                    self._hold(name)

    def close(self) -> None:
        for name in list(self._held):
            self._drop(name)
        for reviving in self._reviving:
            reviving.cancel()

    def _hold(self, name: str) -> None:
        connection = attach_protocol.new_socket()
        try:
            attach_protocol.at_path(os.path.join(self._directory, name), connection.connect)
        except OSError:  # it has ended, before we came
            connection.close()
            self._see_to(name)
            return
        self._held[name] = connection
        asyncio.get_running_loop().add_reader(connection.fileno(), self._ended, name)

    def _drop(self, name: str) -> None:
        connection = self._held.pop(name)
        asyncio.get_running_loop().remove_reader(connection.fileno())
        connection.close()

    def _ended(self, name: str) -> None:
        self._drop(name)
        self._see_to(name)

    def _see_to(self, name: str) -> None:
        """Have its tasks served, if it has left some."""
        left = 0
        with contextlib.suppress(FileNotFoundError):
            left = len(os.listdir(os.path.join(self._directory, name.removesuffix(".sock"))))
        if left:
            self._events.tell("relay-failed", name.removesuffix(".sock"), tasks=left)
            reviving = asyncio.ensure_future(self._revive(name))
            self._reviving.add(reviving)
            reviving.add_done_callback(self._reviving.discard)

    async def _revive(self, name: str) -> None:
        try:
            await self._call(partial(_revive, self._directory))
        except OSError:
            await asyncio.sleep(_PAUSE)
        self.look()
        if name in self._held:
            self._events.tell("relay-replaced", name.removesuffix(".sock"))


def _revive(directory: str, _: Containerizer) -> None:
    Relays(directory).revive(wait=True)
