"""What clients type for the task, on its way into the task's stdin."""

from __future__ import annotations

import os
from collections.abc import Callable

from launcher.io.loop import OUT, Watching
from launcher.kernel import terminal


class TaskInput:
    """A pipe or a terminal that is written to as fast as the task reads, and not faster.

    At most one frame waits here. While it does, `full` is true, and clients are not read from.
    """

    def __init__(
        self, loop: Watching, descriptor: int, drained: Callable[[], None], *, is_terminal: bool
    ) -> None:
        """The descriptor does not block, and becomes ours. `drained` is called when `full` ends."""
        self._loop = loop
        self._descriptor = descriptor
        self._drained = drained
        self._is_terminal = is_terminal
        self._pending = b""
        self._ending = False
        self._in_line = False  # the last byte typed did not end a line

    @property
    def full(self) -> bool:
        return bool(self._pending)

    @property
    def is_open(self) -> bool:
        return self._descriptor >= 0 and not self._ending

    def write(self, data: bytes) -> None:
        """Only while not `full`. What comes after the end is dropped, as a closed pipe drops it."""
        if data and self.is_open:
            self._in_line = data[-1:] not in (b"\n", b"\r")
            self._write(data)

    def end(self) -> None:
        """No more input comes. A terminal stays open: the next line is input again."""
        if not self._is_terminal:
            self._ending = True
            self._finish()
        elif self._descriptor >= 0:
            # In the middle of a line the first one only passes on what is there: termios(3), VEOF.
            self._write(terminal.end_of_file(self._descriptor) * (2 if self._in_line else 1))
            self._in_line = False

    def close(self) -> None:
        self._pending = b""
        self._ending = True
        self._finish()

    def _write(self, data: bytes) -> None:
        try:
            written = os.write(self._descriptor, data)
        except BlockingIOError:
            written = 0
        except OSError:  # EPIPE: the task has closed it; EIO: nobody has the terminal open
            written = len(data)
        self._pending = data[written:]
        if self._pending:
            self._loop.watch(self._descriptor, OUT, self._continue)

    def _continue(self) -> None:
        self._loop.forget(self._descriptor)
        self._write(self._pending)
        if not self._pending:
            self._finish()
            self._drained()

    def _finish(self) -> None:
        if self._ending and not self._pending and self._descriptor >= 0:
            self._loop.forget(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1
