"""Progress of a pull for people: a bar a layer, on a terminal and nowhere else."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

from containerizer.units import format_size

if TYPE_CHECKING:
    from provisioner.progress import Phase, Progress

_INTERVAL = 0.1  # seconds between two drawings: more is flicker
_WIDTH = 24  # characters of a bar


@contextlib.contextmanager
def layer_bars(stream: TextIO = sys.stderr) -> Iterator[Progress | None]:
    """A Progress that draws on a terminal; None elsewhere."""
    if not stream.isatty():
        yield None
        return
    bars = LayerBars(stream)
    try:
        yield bars
    finally:
        bars.draw()


class LayerBars:
    """One line a layer, drawn over the last drawing. Called from several threads."""

    def __init__(self, stream: TextIO) -> None:
        import threading

        self._stream = stream
        self._lock = threading.Lock()
        self._layers: dict[str, tuple[str, int, int]] = {}  # digest → phase, bytes done, bytes in all
        self._drawn_lines = 0
        self._drawn_at = 0.0

    def __call__(self, layer: str, phase: Phase, done: int, total: int) -> None:
        with self._lock:
            before = self._layers.get(layer)
            self._layers[layer] = (phase, done, total)
            changed = before is None or before[0] != phase
            if changed or time.monotonic() - self._drawn_at > _INTERVAL:
                self._draw()

    def draw(self) -> None:
        """Draw the last state."""
        with self._lock:
            self._draw()

    def _draw(self) -> None:
        up = f"\x1b[{self._drawn_lines}F" if self._drawn_lines else ""
        columns = os.get_terminal_size(self._stream.fileno()).columns or 80  # 0: it does not know
        lines = [_line(layer, *state)[: columns - 1] for layer, state in self._layers.items()]
        self._stream.write(up + "".join(f"\x1b[2K{line}\n" for line in lines))
        self._stream.flush()
        self._drawn_lines = len(lines)
        self._drawn_at = time.monotonic()


def _line(layer: str, phase: str, done: int, total: int) -> str:
    short = layer.partition(":")[2][:12]
    if phase in ("exists", "done"):
        return f"{short}  {phase:11}  {format_size(total)}"
    filled = _WIDTH * min(done, total) // total if total else 0
    bar = "#" * filled + "-" * (_WIDTH - filled)
    return f"{short}  {phase:11}  [{bar}]  {format_size(done)} of {format_size(total)}"
