"""When to ask again, and how long to wait before: exponential backoff with jitter, bounded.

RFC 9110 section 10.2.3 for Retry-After, RFC 6585 for 429.
"""

from __future__ import annotations

import email.utils
import random
import time

TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})

ATTEMPTS = 6
FIRST_PAUSE = 0.25  # seconds before the second attempt; doubles
LONGEST_WAIT = 60.0  # seconds; a server that wants more has its answer reported
TOTAL = 120.0  # seconds; after that no attempt begins

_random = random.SystemRandom()


class Backoff:
    """The pauses of one request."""

    def __init__(self) -> None:
        self.tries = 1
        self._end = time.monotonic() + TOTAL

    def pause(self, at_least: float = 0.0) -> float | None:
        """Seconds to wait before the next attempt; None: it is not to be made.

        Jitter keeps the many clients of a registry that failed from coming back all at once.
        """
        if self.tries >= ATTEMPTS or at_least > LONGEST_WAIT:
            return None
        pause = FIRST_PAUSE * 2.0 ** (self.tries - 1) * _random.uniform(0.5, 1.5)
        pause = max(pause, at_least)
        if time.monotonic() + pause > self._end:
            return None
        self.tries += 1
        return pause


def retry_after(value: str) -> float:
    """Seconds that a Retry-After header asks for, given so or as a date; 0 for none or nonsense."""
    value = value.strip()[:64]
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        moment = email.utils.parsedate_to_datetime(value).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError, OSError):
        return 0.0
    return max(0.0, moment - time.time())
