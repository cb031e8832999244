"""Where the start of a command goes: `python -X importtime`, the most expensive first."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence

_LINE = re.compile(r"import time: +(\d+) \| +(\d+) \| ( *)(\S+)")


def slowest(command: Sequence[str], count: int = 12) -> str:
    """A Markdown table of the modules that take longest to import by themselves."""
    argv = [sys.executable, "-X", "importtime", "-m", "containerizer", *command]
    errors = subprocess.run(argv, check=True, capture_output=True, text=True).stderr
    found = [(int(own), name) for own, _, _, name in _LINE.findall(errors)]
    total = sum(own for own, _ in found)
    lines = ["| module | ms by itself |", "| --- | ---: |"]
    lines += [f"| {name} | {own / 1e3:.1f} |" for own, name in sorted(found, reverse=True)[:count]]
    return "\n".join([*lines, f"| all {len(found)} | {total / 1e3:.1f} |"])
