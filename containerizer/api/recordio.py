"""RecordIO: records in a stream of bytes, each after its length in decimal digits and a newline."""

from __future__ import annotations

from collections.abc import Iterator

from containerizer.api.errors import BadRequest, TooLarge

MAX_RECORD = 4 << 20  # bytes of a record that is taken
_MAX_DIGITS = 20  # of a length: 64 bits


def frame(record: bytes) -> bytes:
    """The record with its length."""
    return b"%d\n%b" % (len(record), record)


class Decoder:
    """Takes the stream apart, however it was cut on its way."""

    def __init__(self, limit: int = MAX_RECORD) -> None:
        """`limit`: bytes of a record; of those to come it may be changed."""
        self.limit = limit
        self._pending = bytearray()
        self._length: int | None = None  # of the record that comes, once that is known

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The records that are whole now. Raises BadRequest, TooLarge."""
        self._pending += data
        while (record := self._next()) is not None:
            yield record

    def finish(self) -> None:
        """The stream has ended. Raises BadRequest if a record has not."""
        if self._pending or self._length is not None:
            raise BadRequest("the stream ends within a record")

    def _next(self) -> bytes | None:
        if self._length is None:
            self._length = self._take_length()
        if self._length is None or len(self._pending) < self._length:
            return None
        record = bytes(self._pending[: self._length])
        del self._pending[: self._length]
        self._length = None
        return record

    def _take_length(self) -> int | None:
        end = self._pending.find(b"\n", 0, _MAX_DIGITS + 1)
        if end < 0:
            if len(self._pending) > _MAX_DIGITS:
                raise _no_length(self._pending[:_MAX_DIGITS])
            return None
        digits = bytes(self._pending[:end])
        if not digits.isdigit():  # int() takes signs, blanks and underscores too
            raise _no_length(digits)
        del self._pending[: end + 1]
        if int(digits) > self.limit:
            raise TooLarge(f"a record of {int(digits)} bytes; {self.limit} are the most")
        return int(digits)


def _no_length(text: bytes | bytearray) -> BadRequest:
    return BadRequest(
        f"{bytes(text)!r} is no length of a record", hint="RecordIO is digits, a newline, bytes"
    )
