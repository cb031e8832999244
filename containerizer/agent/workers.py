"""Workers: threads that each own a Containerizer, which is not safe to share between threads.

What was launched in a worker is seen to its end there: the handle and its isolators meet one thread
only. Everything else goes to the worker that has least to do. All workers have one launcher, which may be
shared, and so one fork server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from containerizer.containerizer import Containerizer

T = TypeVar("T")


class Worker:
    """One thread and its Containerizer, made by the first work."""

    def __init__(self, name: str, make: Callable[[], Containerizer]) -> None:
        self._make = make
        self._containerizer: Containerizer | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self.load = 0  # works that wait or are at work

    async def run(self, work: Callable[[Containerizer], T]) -> T:
        """Have the work done in the thread. It goes on if the caller is cancelled."""
        self.load += 1
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._thread, partial(self._do, work))
        future.add_done_callback(self._done)
        return await asyncio.shield(future)

    async def idle(self) -> None:
        """Wait for what is at work, and for all that waits."""
        await asyncio.get_running_loop().run_in_executor(self._thread, lambda: None)

    async def close(self) -> None:
        """Close the Containerizer: its containers run on."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    def _do(self, work: Callable[[Containerizer], T]) -> T:
        if self._containerizer is None:
            self._containerizer = self._make()
        return work(self._containerizer)

    def _done(self, future: asyncio.Future[T]) -> None:
        self.load -= 1
        if not future.cancelled():
            future.exception()  # looked at: whoever asked may have gone

    def _close(self) -> None:
        if self._containerizer is not None:
            self._containerizer.close()


class Workers:
    """As many workers as work may be done at once."""

    def __init__(self, name: str, count: int, make: Callable[[], Containerizer]) -> None:
        self._workers = [Worker(f"{name}-{number}", make) for number in range(count)]

    def pick(self) -> Worker:
        """The one that has least to do."""
        return min(self._workers, key=lambda worker: worker.load)

    async def run(self, work: Callable[[Containerizer], T]) -> T:
        return await self.pick().run(work)

    async def close(self) -> None:
        """Wait until all has been done, then close: the first worker closes the launcher of all."""
        for worker in self._workers:
            await worker.idle()
        for worker in self._workers:
            await worker.close()
