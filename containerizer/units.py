"""Quantities as people write them."""

from __future__ import annotations

import math
import re

from launcher.errors import InvalidRequest

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", re.IGNORECASE | re.ASCII)
_FACTORS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def parse_size(text: str | int) -> int:
    """Bytes from "64m", "1.5g", "512k", "1GiB" or a plain number; powers of 1024, as Docker does."""
    match = _SIZE.fullmatch(str(text).strip())
    if not match:
        raise InvalidRequest(f"invalid size {text!r}", hint="write bytes, or a number with k, m, g or t")
    return int(float(match[1]) * _FACTORS[match[2].lower()])


def parse_cpus(text: str | float) -> float:
    """CPUs from "0.5" or a number; more than none, and finite."""
    try:
        cpus = float(text)
    except ValueError:
        cpus = math.nan
    if not (math.isfinite(cpus) and cpus > 0):
        raise InvalidRequest(f"invalid number of CPUs {text!r}", hint="write a number above 0, e.g. 0.5")
    return cpus


def format_size(count: int) -> str:
    """Bytes for people: "1.5 MiB"."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
