"""Quantities as people write them."""

from __future__ import annotations

import math
import re

from launcher.errors import InvalidRequest

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", re.IGNORECASE | re.ASCII)
_FACTORS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_LARGEST = 1 << 63
_AGE = r"(\d+(?:\.\d+)?)([smhdw])"
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def parse_size(text: str | int) -> int:
    """Bytes from "64m", "1.5g", "512k", "1GiB" or a plain number; powers of 1024, as Docker does."""
    match = _SIZE.fullmatch(str(text).strip())
    if not match:
        raise InvalidRequest(f"invalid size {text!r}", hint="write bytes, or a number with k, m, g or t")
    size = float(match[1]) * _FACTORS[match[2].lower()]
    if size >= _LARGEST:
        raise InvalidRequest(f"invalid size {text!r}", hint="no file and no memory has as many bytes")
    return int(size)


def parse_limit(text: str | int) -> int:
    """A size, or -1 for none."""
    return -1 if str(text).strip() == "-1" else parse_size(text)


def parse_count(text: str) -> int:
    """A whole number, 0 or more."""
    if not (text.isascii() and text.isdecimal()):
        raise InvalidRequest(f"invalid number {text!r}", hint="write a whole number")
    return int(text)


def parse_cpus(text: str | float) -> float:
    """CPUs from "0.5" or a number; more than none, and finite; or -1 for no limit."""
    try:
        cpus = float(text)
    except ValueError:
        cpus = math.nan
    if not (math.isfinite(cpus) and (cpus > 0 or cpus == -1)):
        raise InvalidRequest(f"invalid number of CPUs {text!r}", hint="write a number above 0, e.g. 0.5")
    return cpus


def parse_age(text: str) -> float:
    """Seconds from "90s", "15m", "12h", "7d" or "2w"."""
    match = re.fullmatch(_AGE, text.strip(), re.ASCII)
    if not match:
        raise InvalidRequest(f"invalid age {text!r}", hint="write a number and s, m, h, d or w: 7d")
    return float(match[1]) * _SECONDS[match[2]]


def format_age(seconds: float) -> str:
    """An age for people: "3 d"."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def format_size(count: int) -> str:
    """Bytes for people: "1.5 MiB"."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
