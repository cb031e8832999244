"""Progress of a pull or load, on standard error: bars on a terminal, plain lines elsewhere, or JSON lines.

A line of JSON is {"layer", "phase", "done", "total", "rate"}, in bytes and bytes a second, or {"note"}.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from _thread import allocate_lock  # threading.Lock; a command that pulls nothing needs no threads
from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

from containerizer.cli.table import told
from containerizer.units import format_size

if TYPE_CHECKING:
    from provisioner.progress import Phase, Progress

_INTERVAL = 0.1  # seconds between two drawings: more is flicker
_WIDTH = 24  # characters of a bar where there is room
_NARROWEST = 6  # characters that still show something
_REST = 70  # characters of a line without its bar: "1023.9 MiB of 1023.9 MiB  1023.9 KiB/s"
_MARK, _MARKS = 1.0, 5  # seconds between two marks of a rate, and how many are kept
_OVER = ("exists", "done")


@contextlib.contextmanager
def layer_bars(stream: TextIO = sys.stderr) -> Iterator[Progress]:
    """A Progress that draws on a terminal; elsewhere, where a task's output goes, it tells of trouble."""
    if not stream.isatty():
        yield Notes(stream)
        return
    bars = LayerBars(stream)
    try:
        yield bars
    finally:
        bars.draw()


@contextlib.contextmanager
def layer_progress(*, as_json: bool, stream: TextIO = sys.stderr) -> Iterator[Progress]:
    """A Progress for the stream, whatever it is."""
    if as_json:
        yield JsonLines(stream)
        return
    if not stream.isatty():
        yield PlainLines(stream)
        return
    with layer_bars(stream) as bars:
        yield bars


class Meter:
    """What is known of one layer. The rate is that of its last few seconds."""

    def __init__(self) -> None:
        self.phase = ""
        self.done = 0
        self.total = 0
        self._marks: list[tuple[float, int]] = []  # of the last seconds: when, and the bytes by then
        self._rate = 0.0

    def update(self, phase: str, done: int, total: int) -> bool:
        """Whether it is in another phase now."""
        changed = phase != self.phase
        self.phase, self.done, self.total = phase, done, total
        now = time.monotonic()
        if phase == "downloading":
            self._measure(now, done)
        return changed

    def _measure(self, now: float, done: int) -> None:
        if not self._marks or now - self._marks[-1][0] >= _MARK:
            self._marks = [*self._marks[1 - _MARKS :], (now, done)]
        then, before = self._marks[0]
        self._rate = (done - before) / (now - then) if now > then else 0.0

    @property
    def rate(self) -> int:
        """Bytes a second, 0 where nothing is known of it."""
        return int(self._rate)


class Layers:
    """All layers of a pull. Called from several threads; what is shown of a change, `_show` says."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = allocate_lock()
        self._meters: dict[str, Meter] = {}  # by digest
        self._shown_at = 0.0

    def __call__(self, layer: str, phase: Phase, done: int, total: int) -> None:
        with self._lock:
            meter = self._meters.setdefault(layer, Meter())
            if meter.update(phase, done, total) or time.monotonic() - self._shown_at > _INTERVAL:
                self._show(layer, meter)
                self._shown_at = time.monotonic()

    def note(self, text: str) -> None:
        """A sentence about trouble that may pass."""
        with self._lock:
            self._say(told(text))

    def _show(self, layer: str, meter: Meter) -> None:
        raise NotImplementedError

    def _say(self, text: str) -> None:
        self._write(f"{text}\n")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


class Notes(Layers):
    """A line for what takes longer than it should, and why; what goes well is nothing to tell."""

    def _show(self, layer: str, meter: Meter) -> None:
        pass


class PlainLines(Layers):
    """A line for each phase that takes time; no line is drawn over another."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._said: dict[str, str] = {}

    def _show(self, layer: str, meter: Meter) -> None:
        if meter.phase != self._said.get(layer) and meter.phase in ("downloading", *_OVER):
            self._said[layer] = meter.phase
            self._say(f"{_short(layer)}: {meter.phase} {format_size(meter.total)}")


class JsonLines(Layers):
    """An object a line."""

    def _show(self, layer: str, meter: Meter) -> None:
        self._object(
            {
                "layer": layer,
                "phase": meter.phase,
                "done": meter.done,
                "total": meter.total,
                "rate": meter.rate,
            }
        )

    def _say(self, text: str) -> None:
        self._object({"note": text})

    def _object(self, value: dict[str, object]) -> None:
        import json

        self._write(json.dumps(value) + "\n")


class LayerBars(Layers):
    """One line a layer, drawn over the last drawing; where there are too many, those at work, and a sum."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._drawn_lines = 0

    def draw(self) -> None:
        """Draw the last state."""
        with self._lock:
            self._draw()

    def _show(self, layer: str, meter: Meter) -> None:
        self._draw()

    def _say(self, text: str) -> None:
        self._write(f"{self._back()}\x1b[0J{text}\n")
        self._drawn_lines = 0
        self._draw()

    def _draw(self) -> None:
        size = os.get_terminal_size(self._stream.fileno())
        columns, rows = size.columns or 80, size.lines or 24  # 0: it does not know
        lines = [line[: columns - 1] for line in self._lines(rows - 1, columns - _REST)]
        rest = "\x1b[0J" if len(lines) < self._drawn_lines else ""  # what fewer lines would leave below
        self._write(self._back() + rest + "".join(f"\x1b[2K{line}\n" for line in lines))
        self._drawn_lines = len(lines)

    def _back(self) -> str:
        return f"\x1b[{self._drawn_lines}F" if self._drawn_lines else ""

    def _lines(self, most: int, width: int) -> list[str]:
        lines = [_line(layer, meter, width) for layer, meter in self._meters.items()]
        if len(lines) <= most:
            return lines
        active = [
            _line(layer, meter, width)
            for layer, meter in self._meters.items()
            if meter.phase not in ("waiting", *_OVER)
        ]
        return [*active[: max(0, most - 1)], self._sum()]

    def _sum(self) -> str:
        meters = self._meters.values()
        over = sum(meter.phase in _OVER for meter in meters)
        done = sum(meter.total if meter.phase in _OVER else meter.done for meter in meters)
        total = sum(meter.total for meter in meters)
        return f"{over} of {len(meters)} layers  {format_size(done)} of {format_size(total)}"


def _short(layer: str) -> str:
    return layer.partition(":")[2][:12]


def _line(layer: str, meter: Meter, width: int) -> str:
    """The bar gives way to the figures: a rate that the terminal cuts off is none."""
    if meter.phase in _OVER:
        return f"{_short(layer)}  {meter.phase:11}  {format_size(meter.total)}"
    width = min(width, _WIDTH)
    filled = width * min(meter.done, meter.total) // meter.total if meter.total else 0
    bar = f"[{'#' * filled}{'-' * (width - filled)}]  " if width >= _NARROWEST else ""
    rate = f"  {format_size(meter.rate)}/s" if meter.phase == "downloading" and meter.rate else ""
    size = f"{format_size(meter.done)} of {format_size(meter.total)}"
    return f"{_short(layer)}  {meter.phase:11}  {bar}{size}{rate}"
