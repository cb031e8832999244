"""Watches that begin when a container has run for a while."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterator

import pytest

from containerizer.later import LaterWatch
from isolators.isolator import Watch
from isolators.resources import Limitation

REACHED = Limitation(isolator="tests/pipe", resource="bytes", message="one came", fatal=False)
LONG = 3600.0  # seconds


class Pipe(Watch):
    """Tells of each byte that comes."""

    def __init__(self, reader: int) -> None:
        self.reader = reader
        self.closed = False

    def fileno(self) -> int | None:
        return self.reader

    def check(self) -> Limitation | None:
        if not select.select([self.reader], [], [], 0)[0]:
            return None
        os.read(self.reader, 1)
        return REACHED

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def ends() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    os.close(reader)
    os.close(writer)


def ready(watch: Watch, seconds: float) -> bool:
    return bool(select.select([watch.fileno()], [], [], seconds)[0])


def test_nothing_is_watched_before_its_time(ends: tuple[int, int]) -> None:
    made: list[Watch] = []
    watch = LaterWatch(lambda: made, after=LONG)
    os.write(ends[1], b"x")
    assert watch.check() is None
    assert not ready(watch, 0)
    watch.close()
    watch.close()
    assert watch.fileno() is None


def test_who_waits_for_the_time_needs_no_descriptor_until_then(ends: tuple[int, int]) -> None:
    inner = Pipe(ends[0])
    watch = LaterWatch(lambda: [inner], after=0.0)
    before = set(os.listdir("/proc/self/fd"))
    due = watch.due()
    assert due is not None and due <= time.monotonic()
    assert set(os.listdir("/proc/self/fd")) == before
    assert watch.check() is None  # begins
    assert watch.due() is None
    os.write(ends[1], b"x")
    assert ready(watch, 30)
    assert watch.check() == REACHED
    watch.close()
    assert watch.due() is None


def test_from_then_on_one_descriptor_stands_for_all(ends: tuple[int, int]) -> None:
    inner = Pipe(ends[0])
    watch = LaterWatch(lambda: [inner], after=0.001)
    assert ready(watch, 30)
    assert watch.check() is None  # begins
    assert not ready(watch, 0)
    for _ in range(2):
        os.write(ends[1], b"x")
        assert ready(watch, 30)
        assert watch.check() == REACHED
        assert not ready(watch, 0)
    watch.close()
    assert inner.closed
