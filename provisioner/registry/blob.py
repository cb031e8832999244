"""BlobStream: a blob as one stream, whatever its connections do.

RFC 9110 section 14 for Range. What a digest names is the same everywhere and for ever, so a stream
that was cut goes on where it ended, at the same endpoint or another. Its reader verifies the whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from provisioner.errors import RegistryFailed, RegistryInTrouble, RegistryUnreachable, TooManyRequests
from provisioner.registry import retry
from provisioner.registry.http import Answer, ConnectionLost
from provisioner.registry.line import Line

_PROGRESS = 1 << 20  # bytes after which a connection that breaks is no sign of one that always will
_SKIP = 256 << 10  # bytes read at once of what is known already
_PARTIAL, _RANGE_REFUSED = 206, 416
_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(?:\d{1,19}|\*)")

Open = Callable[[dict[str, str]], Answer]


class BlobStream:
    """A Readable; close it."""

    def __init__(
        self,
        open_: Open,
        what: str,
        size: int | None,
        line: Line,
        note: Callable[[str], None],
        offset: int = 0,
    ) -> None:
        """`open_` sends a request for the blob with these headers; `size` in bytes, if it is known.

        The stream begins at `offset`.
        """
        self._open = open_
        self._what = what
        self._size = size
        self._line = line
        self._note = note
        self._offset = offset  # of the next byte for the reader
        self._end: int | None = None  # where the open answer says that it will end
        self._backoff = retry.Backoff()
        self._good = offset  # where the last trouble was forgotten
        self._answer = self._ask()
        try:
            self._skip(self._measure(offset))
        except ConnectionLost as error:
            self._resume(str(error))

    def close(self) -> None:
        """Idempotent."""
        self._answer.close()

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; none at the end. Raises RegistryUnreachable, RegistryFailed, Cancelled."""
        while True:
            try:
                chunk = self._answer.read(size)
            except ConnectionLost as error:
                self._resume(str(error))
                continue
            if not chunk and self._was_cut():
                self._resume("the connection was cut")
                continue
            self._offset += len(chunk)
            if self._offset - self._good > _PROGRESS:
                self._good, self._backoff = self._offset, retry.Backoff()
            return chunk

    def _was_cut(self) -> bool:
        """Whether this end is not the one that the registry announced.

        One that announces less than the manifest promises would do so again: the reader will say it.
        """
        end = self._size if self._end is None else self._end
        return end is not None and self._offset < end

    def _resume(self, why: str) -> None:
        while True:
            self._answer.close()
            self._line.check()
            pause = self._backoff.pause()
            if pause is None:
                raise RegistryUnreachable(
                    f"lost {self._what} after {self._offset} bytes, {self._backoff.tries} times: {why}",
                    hint="pull again: what has come is not fetched twice",
                )
            self._note(f"{self._what}: {why} after {self._offset} bytes; going on in {pause:.1f} s")
            self._line.wait(pause)
            try:
                self._answer = self._ask()
                return self._skip(self._measure(self._offset))
            except ConnectionLost as error:
                why = str(error)

    def _ask(self) -> Answer:
        """For the rest; or for the whole, where that part is not to be had."""
        answer = self._ask_rest() if self._offset else None
        if answer is not None and (answer.status == _RANGE_REFUSED or self._start(answer) is None):
            answer.drain()
            answer = None
        return answer or self._open({})

    def _ask_rest(self) -> Answer | None:
        try:
            return self._open({"Range": f"bytes={self._offset}-"})
        except (TooManyRequests, RegistryInTrouble):
            raise
        except RegistryFailed:  # to some in between Range is what they do not let through
            return None

    def _measure(self, wanted: int) -> int:
        """The bytes of the answer that come before the wanted offset."""
        start = self._start(self._answer)
        if start is None:
            self._answer.close()
            raise RegistryFailed(f"{self._what}: the registry sends another part than was asked for")
        length = self._answer.headers.get("Content-Length", "")
        self._end = start + int(length) if length.isascii() and length.isdigit() else None
        return wanted - start

    def _start(self, answer: Answer) -> int | None:
        """The offset at which the answer begins; None if that is no use."""
        if answer.status != _PARTIAL:
            return 0
        match = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", "").strip())
        return int(match[1]) if match and int(match[1]) <= self._offset else None

    def _skip(self, count: int) -> None:
        while count > 0:
            chunk = self._answer.read(min(count, _SKIP))
            if not chunk:
                raise ConnectionLost("it ends before the part that was to come")
            count -= len(chunk)
