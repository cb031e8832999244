"""Durations as the flags have them: "10secs", "5mins", "1weeks", and as the command line does: "7d"."""

from __future__ import annotations

import re

from launcher.errors import InvalidRequest

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)", re.ASCII)

_SECONDS = {
    "ns": 1e-9,
    "us": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "secs": 1.0,
    "m": 60.0,
    "mins": 60.0,
    "h": 3600.0,
    "hrs": 3600.0,
    "d": 86400.0,
    "days": 86400.0,
    "w": 604800.0,
    "weeks": 604800.0,
}


def parse_duration(text: str) -> float:
    """Seconds. Raises InvalidRequest."""
    match = _DURATION.fullmatch(text.strip())
    if not match or match[2] not in _SECONDS:
        hint = f"write a number and one of {', '.join(_SECONDS)}: 5mins"
        raise InvalidRequest(f"invalid duration {text!r}", hint=hint)
    return float(match[1]) * _SECONDS[match[2]]
