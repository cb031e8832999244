"""Pipes to threads, from the event loop: waited for, never blocking it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable


async def read(descriptor: int, count: int) -> bytes:
    """At most `count` bytes; none at the end."""
    os.set_blocking(descriptor, False)
    loop = asyncio.get_running_loop()
    while True:
        try:
            return os.read(descriptor, count)
        except BlockingIOError:
            await _ready(
                lambda tell: loop.add_reader(descriptor, tell), lambda: loop.remove_reader(descriptor)
            )


async def write(descriptor: int, data: bytes) -> None:
    """All of it. Raises BrokenPipeError if nobody reads any more."""
    os.set_blocking(descriptor, False)
    loop = asyncio.get_running_loop()
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:
            await _ready(
                lambda tell: loop.add_writer(descriptor, tell), lambda: loop.remove_writer(descriptor)
            )


async def _ready(add: Callable[[Callable[[], None]], object], remove: Callable[[], object]) -> None:
    ready = asyncio.Event()
    add(ready.set)
    try:
        await ready.wait()
    finally:
        remove()
