"""Timer: how long something took of late, as percentiles over a window of time."""

from __future__ import annotations

import collections
import math
import time
from collections.abc import Iterator

WINDOW = 3600.0  # seconds
_KEPT = 1000  # measurements, the newest
_PERCENTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p999": 0.999, "p9999": 0.9999}


class Timer:
    """Milliseconds under a metric's name, as the predecessor's snapshot has them."""

    def __init__(self) -> None:
        self._measured: collections.deque[tuple[float, float]] = collections.deque(maxlen=_KEPT)

    def measure(self, seconds: float) -> None:
        self._measured.append((time.monotonic(), seconds * 1000))

    def snapshot(self, name: str) -> Iterator[tuple[str, float]]:
        """The last one by the name itself, then count, extremes and percentiles. Nothing if quiet."""
        since = time.monotonic() - WINDOW
        recent = [milliseconds for when, milliseconds in self._measured if when >= since]
        if not recent:
            return
        ordered = sorted(recent)
        yield name, recent[-1]
        yield f"{name}/count", float(len(recent))
        yield f"{name}/min", ordered[0]
        yield f"{name}/max", ordered[-1]
        for suffix, part in _PERCENTILES.items():
            yield f"{name}/{suffix}", ordered[max(0, math.ceil(part * len(ordered)) - 1)]
