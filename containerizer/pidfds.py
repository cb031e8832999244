"""Processes held by pidfds: whoever has one cannot take another process for it. See pidfd_open(2)."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterator, Sequence

from containerizer.liveness import open_process

Process = tuple[int | None, int | None]  # pid and start, as records have them: containerizer.liveness


def kill(pidfds: Sequence[int], number: int = signal.SIGKILL) -> None:
    """Send a signal to each; one that has ended is fine."""
    for pidfd in pidfds:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, number)


@contextlib.contextmanager
def pidfds_of(processes: Sequence[Process]) -> Iterator[list[int]]:
    """Of those (pid, start) that have not ended."""
    opened = [fd for pid, started in processes if (fd := open_process(pid, started)) is not None]
    try:
        yield opened
    finally:
        for descriptor in opened:
            os.close(descriptor)


def wait_for_any(descriptors: Sequence[int], deadline: float | None) -> bool:
    """Wait until one of them is readable; False if the deadline came first."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000))


def deadline_of(timeout: float | None) -> float | None:
    """The time of the monotonic clock when `timeout` seconds will be over; None for never."""
    return None if timeout is None else time.monotonic() + timeout
