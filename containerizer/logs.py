"""Read a container's log, while its relay may still write and rotate it.

The format is that of launcher.io.log_file. What comes out of here are lines of the task, or its last
piece of one, each with the time and the stream of its first part.
"""

from __future__ import annotations

import itertools
import os
import select
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from launcher.attach import Attachment, NotServed
from launcher.data import Data
from launcher.exit_status import ExitStatus
from launcher.kernel import inotify

_CHUNK = 256 * 1024


class Entry(Data):
    """One record of the log."""

    timestamp: str  # RFC 3339 with nanoseconds, in UTC: their order is that of the text
    stream: str  # "stdout" or "stderr"
    content: bytes  # with the newline, where the task wrote one


class LogReader:
    """Reads the files from the oldest to the newest, and each only as far as it is written."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = -1
        self._rest = b""

    def entries(self) -> Iterator[Entry]:
        """What has been written since the last call."""
        while self._file >= 0 or self._open_next():
            yield from self._read()
            following = self._next_path()
            if following is None:
                return
            yield from self._read()  # what was written before it was rotated, and after we looked
            self._open_next()

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _read(self) -> Iterator[Entry]:
        while chunk := os.read(self._file, _CHUNK):
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            yield from filter(None, map(_parse, lines))

    def _open_next(self) -> bool:
        path = self._next_path()
        if path is None:
            return False
        try:
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:  # rotated just now
            return self._open_next()
        self.close()
        self._file, self._rest = file, b""
        return True

    def _next_path(self) -> str | None:
        """The file after ours; the oldest one if ours is gone, or there is none yet."""
        paths = self._paths()
        if self._file < 0:
            return paths[0] if paths else None
        ours = os.fstat(self._file)
        for number, path in enumerate(paths):
            if _is_file(path, ours):
                return paths[number + 1] if number + 1 < len(paths) else None
        return paths[0] if paths else None

    def _paths(self) -> list[str]:
        return files_of(self._path)


def files_of(path: str) -> list[str]:
    """Those of a log, the oldest first."""
    numbered = (f"{path}.{number}" for number in itertools.count(1))
    older = list(itertools.takewhile(os.path.exists, numbered))
    return [*reversed(older), *([path] if os.path.exists(path) else [])]


def last(entries: Iterable[Entry], count: int) -> Iterator[Entry]:
    """The entries of the last `count` lines; one that has not ended yet is a line too."""
    if count <= 0:
        return
    lines: deque[list[Entry]] = deque(maxlen=count)
    unfinished: dict[str, list[Entry]] = {}
    for entry in entries:
        line = unfinished.get(entry.stream)
        if line is None:
            line = unfinished[entry.stream] = []
            lines.append(line)
        line.append(entry)
        if entry.content.endswith(b"\n"):
            del unfinished[entry.stream]
    for line in lines:
        yield from line


def follow(
    reader: LogReader, directory: str, connect: Callable[[], Attachment], lost: Callable[[], None]
) -> Iterator[list[Entry]]:
    """What the log has, and what is added to it until the task ends: batch by batch.

    `connect` attaches to the task, and has it served again if its relay was killed; it raises NotServed
    when the task has ended. `lost` is called if it has while there was no relay: what it wrote last is gone.
    """
    try:
        attachment = connect()
    except NotServed:
        yield list(reader.entries())
        return
    changes = inotify.watch(directory, inotify.MODIFY | inotify.CREATE | inotify.MOVED_TO)
    try:
        while True:
            with attachment:
                killed = None
                while killed is None:
                    yield list(reader.entries())
                    killed = _wait(attachment, changes)
            if not killed:
                break
            try:
                attachment = connect()
            except NotServed:
                lost()
                break
        yield list(reader.entries())
    finally:
        os.close(changes)


def _wait(attachment: Attachment, changes: int) -> bool | None:
    """Wait for a change of the log: None; or the end of the task: False, or of its relay: True."""
    poll = select.poll()
    poll.register(attachment, select.POLLIN)
    poll.register(changes, select.POLLIN)
    ready = {descriptor for descriptor, _ in poll.poll()}
    if changes in ready:
        inotify.drain(changes)
    if attachment.fileno() not in ready:
        return None
    event = attachment.receive()
    if event is None:
        return True
    return False if isinstance(event, ExitStatus) else None


def _is_file(path: str, status: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(path), status)
    except FileNotFoundError:
        return False


def _parse(line: bytes) -> Entry | None:
    """None for what is no record: a line that a full disk or a power cut has torn."""
    timestamp, _, rest = line.partition(b" ")
    stream, _, rest = rest.partition(b" ")
    tag, space, content = rest.partition(b" ")
    if tag not in (b"F", b"P") or not space:
        return None
    newline = b"\n" if tag == b"F" else b""
    return Entry(timestamp.decode("ascii", "replace"), stream.decode("ascii", "replace"), content + newline)
