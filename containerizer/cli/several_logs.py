"""The logs of several containers as one: whole lines, each behind the name of its container.

What is there is sorted by time; what is followed comes as it is written, read by a thread a container.
"""

from __future__ import annotations

import heapq
import operator
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping

from containerizer.cli.session import write_all
from containerizer.cli.table import told
from containerizer.logs import Entry
from launcher.errors import ContainerizerError

Source = Callable[[], Iterable[Entry]]  # the entries of one container, perhaps until its task ends

_OUTPUTS = {"stdout": 1, "stderr": 2}
_LONGEST = 1 << 16  # bytes of a line before it is written as two


def merge(sources: Mapping[str, Source], *, timestamps: bool) -> None:
    """Print them by their times. Raises what a source raises."""
    width = max(map(len, sources))
    lines = [_lines(name.ljust(width), source(), timestamps) for name, source in sources.items()]
    for _, stream, line in heapq.merge(*lines, key=operator.itemgetter(0)):
        write_all(_OUTPUTS[stream], line)


def follow(sources: Mapping[str, Source], *, timestamps: bool) -> bool:
    """Print them as they come, until all have ended. Whether none has failed: what went wrong is told."""
    width = max(map(len, sources))
    lock = threading.Lock()
    failed = []

    def run(name: str, source: Source) -> None:
        try:
            for _, stream, line in _lines(name.ljust(width), source(), timestamps):
                with lock:
                    write_all(_OUTPUTS[stream], line)
        except (ContainerizerError, OSError) as error:
            failed.append(name)
            print(f"containerizer: {name}: {told(str(error))}", file=sys.stderr)

    threads = [threading.Thread(target=run, args=each, daemon=True) for each in sources.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return not failed


def _lines(name: str, entries: Iterable[Entry], timestamps: bool) -> Iterator[tuple[str, str, bytes]]:
    """(time, stream, line) of each, parts joined; the last may have had no end."""
    begun: dict[str, tuple[str, bytes]] = {}
    for entry in entries:
        first, text = begun.pop(entry.stream, (entry.timestamp, b""))
        text += entry.content
        if text.endswith(b"\n") or len(text) > _LONGEST:
            yield first, entry.stream, _prefixed(name, first, text, timestamps)
        else:
            begun[entry.stream] = (first, text)
    for stream, (first, text) in begun.items():
        yield first, stream, _prefixed(name, first, text, timestamps)


def _prefixed(name: str, timestamp: str, text: bytes, timestamps: bool) -> bytes:
    time = f"{timestamp} " if timestamps else ""
    return f"{name} | {time}".encode() + text.removesuffix(b"\n") + b"\n"
