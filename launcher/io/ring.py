"""The last bytes of a task's output, which every reader reads at a pace of its own.

A reader is an offset into all that the task has ever written. There is no queue for each reader, so
none can cost more memory than another: one that is too slow finds that its next bytes are gone.
"""

from __future__ import annotations

from collections import deque

SIZE = 64 * 1024  # bytes
_MOST_RUNS = 512  # of a task that writes byte by byte, to stdout and stderr in turn


class Ring:
    """The output from offset `start` to offset `end`."""

    def __init__(self, size: int = SIZE) -> None:
        self.size = size
        self.start = 0
        self.end = 0
        self._data = bytearray()
        self._runs: deque[tuple[int, int]] = deque()  # (stream, where its run of bytes ends)

    def append(self, stream: int, data: bytes) -> None:
        """Add what the task has written to `stream`; the oldest bytes go."""
        self._data += data
        self.end += len(data)
        if self._runs and self._runs[-1][0] == stream:
            self._runs.pop()
        self._runs.append((stream, self.end))
        oldest = self._runs[-_MOST_RUNS - 1][1] if len(self._runs) > _MOST_RUNS else 0
        self._forget(max(self.end - self.size, oldest))

    def read(self, offset: int, limit: int) -> tuple[int, bytes]:
        """(stream, bytes) from `offset` on, which lies in the ring; as far as one stream reaches."""
        stream, end = next(run for run in self._runs if run[1] > offset)
        first = offset - self.start
        return stream, bytes(self._data[first : first + min(limit, end - offset)])

    def _forget(self, start: int) -> None:
        if start <= self.start:
            return
        del self._data[: start - self.start]
        self.start = start
        while self._runs[0][1] <= start:
            self._runs.popleft()
