"""The figures of `make bench-launch` as a picture, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt

OURS, OTHERS = "#2a6f97", "#adb5bd"


def draw(
    file: Path,
    bars: Mapping[str, Mapping[str, float]],
    flatness: Sequence[tuple[int, float]],
    title: str,
) -> None:
    """One panel of bars for each of `bars` (a title with its unit → what → value), and the curve."""
    figure, panels = plt.subplots(1, len(bars) + 1, figsize=(4 * (len(bars) + 1), 4), squeeze=False)
    for panel, (name, values) in zip(panels[0], bars.items(), strict=False):
        colours = [OURS if "containerizer" in what else OTHERS for what in values]
        drawn = panel.bar([what.replace(", ", "\n") for what in values], list(values.values()), color=colours)
        panel.bar_label(drawn, fmt="%.3g")
        panel.set_title(name, fontsize=10)
        panel.tick_params(axis="x", labelsize=7)
    curve = panels[0][-1]
    curve.plot([running for running, _ in flatness], [seconds * 1e3 for _, seconds in flatness], color=OURS)
    curve.set_ylim(bottom=0)
    curve.set_title("launch among running containers, ms", fontsize=10)
    figure.suptitle(title, fontsize=9)
    figure.tight_layout()
    figure.savefig(file, dpi=110)
