"""Signals as people and images write them: TERM, SIGTERM, 15, SIGRTMIN+3; see signal(7)."""

from __future__ import annotations

import signal

from launcher.errors import InvalidRequest


def parse_signal(text: str) -> int:
    """The signal's number. Raises InvalidRequest."""
    name = text.upper().removeprefix("SIG")
    number = int(name) if name.isascii() and name.isdigit() and len(name) < 4 else _NUMBERS.get(f"SIG{name}")
    if number not in _NAMES:
        raise InvalidRequest(f"unknown signal {text!r}", hint="name one, such as SIGTERM; see signal(7)")
    return number


def signal_name(number: int) -> str:
    """SIGTERM for 15, SIGRTMIN+3 for 37."""
    return _NAMES[number]


def _real_time() -> dict[str, int]:
    first, last = int(signal.SIGRTMIN), int(signal.SIGRTMAX)
    from_last = {f"SIGRTMAX-{last - number}": number for number in range(first, last + 1)}
    return from_last | {f"SIGRTMIN+{number - first}": number for number in range(first, last + 1)}


_NUMBERS = {**_real_time(), **{s.name: int(s) for s in signal.Signals}}
_NAMES = {number: name for name, number in _NUMBERS.items()}
