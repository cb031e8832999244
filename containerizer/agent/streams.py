"""A task's input and output in the event loop: launcher.attach, awaited instead of blocking."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from functools import partial

from launcher import attach_protocol as wire
from launcher.attach import Attachment, Event, Hello
from launcher.errors import InvalidRequest


class Stream:
    """One connection to a task. Close it, or use it as an async context manager."""

    def __init__(self, attachment: Attachment) -> None:
        self._attachment = attachment
        self._loop = asyncio.get_running_loop()
        self._hello: Hello | None = None
        self._greeted = asyncio.Lock()  # held until HELLO was received
        self._ended = False

    async def __aenter__(self) -> Stream:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Detach. Idempotent."""
        if self._attachment.fileno() >= 0:
            self._loop.remove_reader(self._attachment.fileno())
            self._loop.remove_writer(self._attachment.fileno())
            self._attachment.close()

    async def hello(self) -> Hello | None:
        """What the task has; None if it has ended. Before anything else is received."""
        async with self._greeted:
            if self._hello is None and not self._ended:
                event = await self._receive()
                self._hello = event if isinstance(event, Hello) else None
                self._ended = self._hello is None
        return self._hello

    async def output(self, *, replay: bool = True, paced: bool = True) -> AsyncIterator[Event]:
        """What the task writes: Output and Skipped, and at the end its ExitStatus, if that is known.

        `replay`: the last 64 KiB of before come first. `paced`: the task waits for us, up to a second,
        before we lose output. Nothing is received ahead of whoever iterates.
        """
        await self.hello()
        self._attachment.attach(replay=replay, paced=paced)
        async for event in self.events():
            yield event

    def ask(self, *, replay: bool) -> None:
        """Have the output come by `events`; the task waits for us, up to a second, before we lose some."""
        self._attachment.attach(replay=replay, paced=True)

    async def events(self) -> AsyncIterator[Event]:
        """What comes, its Hello too; of output only if it has been asked for."""
        while event := await self._receive():
            yield event

    async def write(self, data: bytes) -> None:
        """Type for the task. Waits while the task does not read; returns also if it has ended."""
        for start in range(0, len(data), wire.CHUNK):
            await self._send(partial(self._attachment.write, data[start : start + wire.CHUNK]))

    async def end_input(self) -> None:
        """Close the task's stdin; in a terminal, type the character for that."""
        await self._send(self._attachment.end_input)

    async def resize(self, rows: int, columns: int) -> None:
        """Resize the terminal, if there is one. Raises InvalidRequest for no such size."""
        if not (0 <= rows < 1 << 16 and 0 <= columns < 1 << 16):
            raise InvalidRequest(f"invalid terminal size {rows} × {columns}")
        await self._send(lambda: self._attachment.resize(rows, columns))

    async def reopen_log(self) -> None:
        """Have the log's file made anew; an event tells when it is."""
        await self._send(self._attachment.reopen_log)

    async def _receive(self) -> Event | None:
        await self._ready(self._loop.add_reader, self._loop.remove_reader)
        return self._attachment.receive()

    async def _send(self, send: Callable[[], None]) -> None:
        while True:
            with contextlib.suppress(BlockingIOError):
                send()
                return
            await self._ready(self._loop.add_writer, self._loop.remove_writer)

    async def _ready(
        self,
        add: Callable[[int, Callable[[], None]], object],
        remove: Callable[[int], object],
    ) -> None:
        ready = asyncio.Event()
        descriptor = self._attachment.fileno()
        add(descriptor, ready.set)
        try:
            await ready.wait()
        finally:
            remove(descriptor)
