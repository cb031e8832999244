"""What has come of a file until the connection was cut, and how to ask for the rest: RFC 9110, section 14.

Only with a strong validator (If-Range): two parts of two versions make a file that never was. Whoever
answers with another part than was asked for, or of another whole, is not believed: all is asked for again.
"""

from __future__ import annotations

import email.utils
import hashlib
import re
from collections.abc import Mapping

_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)", re.ASCII)
_STRONG = 1.0  # seconds between a change and the answer that tells its time: RFC 9110, section 8.8.2.2


class Changed(Exception):
    """The rest is not of what has come."""


class Partial:
    """Of one file."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self.size = 0
        self.digest = hashlib.sha256()
        self._validator = ""
        self._total: int | None = None

    @property
    def rest(self) -> Mapping[str, str]:
        """Headers that ask for what is missing; none where there is nothing yet, or nothing to ask by."""
        if not self.size or not self._validator or self.size == self._total:
            return {}
        return {"Range": f"bytes={self.size}-", "If-Range": self._validator}

    def begin(self, headers: Mapping[str, str], length: int | None, *, goes_on: bool) -> int | None:
        """An answer has come, of so many bytes: the rest, or all anew. How large the whole is, if it tells.

        Raises Changed for one that does not go on where we are.
        """
        if not goes_on:
            self.forget()
            self._validator, self._total = _validator(headers), length
            return length
        match = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", "").strip())
        if match is None or int(match[1]) != self.size:
            raise Changed("the server answers with another part than was asked for")
        total = int(match[2]) + 1 if match[3] == "*" else int(match[3])
        if self._total is not None and total != self._total:
            raise Changed(f"the server answers with {total} bytes, and before with {self._total}")
        if (tag := headers.get("ETag", "")) and self._validator.startswith('"') and tag != self._validator:
            raise Changed("the server answers with a part of another version")
        return total

    def add(self, chunk: bytes) -> None:
        self.size += len(chunk)
        self.digest.update(chunk)


def _validator(headers: Mapping[str, str]) -> str:
    """A strong one; "" if there is none."""
    tag = headers.get("ETag", "")
    if tag.startswith('"'):
        return tag
    changed, now = _moment(headers.get("Last-Modified", "")), _moment(headers.get("Date", ""))
    if tag or changed is None or now is None or now - changed < _STRONG:
        return ""
    return headers["Last-Modified"]


def _moment(text: str) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError, OverflowError, OSError):
        return None
