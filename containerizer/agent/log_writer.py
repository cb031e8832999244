"""Logging that nobody waits for: a thread of its own writes what was logged.

Stderr is often a pipe, and whoever reads that may stop to. The event loop must not stop with it: then
messages wait for the thread, as many as there is room for, and those after them are lost, and counted.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading

_ROOM = 1000  # messages
_PATIENCE = 1.0  # seconds that the end waits for the last of them


class LogWriter(logging.Handler):
    """Writes to a descriptor, which stays the caller's."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._lost = 0
        self._waiting: queue.Queue[str | None] = queue.Queue(_ROOM)
        self._thread = threading.Thread(target=self._write_all, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._waiting.put_nowait(self.format(record))
        except queue.Full:
            self._lost += 1

    def close(self) -> None:
        with contextlib.suppress(queue.Full):  # the thread is held up, and is left alone
            self._waiting.put_nowait(None)
        self._thread.join(_PATIENCE)
        super().close()

    def _write_all(self) -> None:
        while (text := self._waiting.get()) is not None:
            lost, self._lost = self._lost, 0
            if lost:
                text += f"\n{lost} messages were lost: this was not read in time"
            with contextlib.suppress(OSError):  # nobody will ever read it
                _write(self._descriptor, f"{text}\n".encode(errors="backslashreplace"))


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
