"""The memory that processes take while something is done: looked at every few milliseconds."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

_PERIOD = 0.02  # seconds between looks


def peak(action: Callable[[], object], daemon: int | None) -> int:
    """Bytes at the most: of the children that the action starts and theirs, and of the daemon's."""
    highest, done = 0, threading.Event()

    def watch() -> None:
        nonlocal highest
        while not done.wait(_PERIOD):
            pids = [pid for top in filter(None, (*_children(os.getpid()), daemon)) for pid in _tree(top)]
            highest = max(highest, sum(map(_proportional, pids)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        action()
    finally:
        done.set()
        watcher.join()
    return highest


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for child in _children(pid):
        yield from _tree(child)


def _children(pid: int) -> list[int]:
    """Without the registry's, which serves them all."""
    found: list[int] = []
    with contextlib.suppress(OSError):  # the process, or a thread of it, has ended
        for path in Path(f"/proc/{pid}/task").glob("*/children"):
            found += map(int, path.read_text().split())
    return [child for child in found if not _command(child).startswith(b"docker-registry")]


def _command(pid: int) -> bytes:
    try:
        return os.path.basename(Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0])
    except OSError:
        return b""


def _proportional(pid: int) -> int:
    """Its share of the pages it has; proc_pid_smaps(5)."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
