"""Run alternatives in turns, so that whatever else the machine does meets them all alike."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Action = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Sample:
    """The seconds that each run of one alternative took."""

    seconds: Sequence[float]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def spread(self) -> tuple[float, float]:
        """The quartiles around the median."""
        low, _, high = statistics.quantiles(self.seconds, n=4)
        return low, high


def interleave(actions: Mapping[str, Action], rounds: int, warm_up: int = 2) -> dict[str, Sample]:
    """Time each action once a round, in turns; the first rounds do not count."""
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for number in range(warm_up + rounds):
        for name, action in actions.items():
            start = time.perf_counter()
            action()
            elapsed = time.perf_counter() - start
            if number >= warm_up:
                seconds[name].append(elapsed)
    return {name: Sample(values) for name, values in seconds.items()}


def table(samples: Mapping[str, Sample], reference: str) -> str:
    """Medians in milliseconds, and each one's ratio to `reference`'s, as a Markdown table."""
    base = samples[reference].median
    lines = ["| what | median | quartiles | ours / it |", "| --- | ---: | ---: | ---: |"]
    for name, sample in samples.items():
        low, high = (f"{value * 1e3:.1f}" for value in sample.spread)
        lines.append(f"| {name} | {sample.median * 1e3:.1f} ms | {low}–{high} | {base / sample.median:.2f} |")
    return "\n".join(lines)


def machine() -> str:
    """What the figures were measured on."""
    with open("/proc/cpuinfo") as file:
        model = next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), "?")
    return f"{os.cpu_count()} × {model}, Linux {platform.release()}, Python {platform.python_version()}"
