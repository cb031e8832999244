"""What a system call of a launch program acts on, where the errno's own text would not say enough."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from launcher.data import Data, replace


class Explained:
    """An object by its name, with better reasons for some errnos, or for all (`None`)."""

    def __init__(self, name: str, reasons: Mapping[int | None, str]) -> None:
        self.name = name
        self.reasons = reasons

    def __str__(self) -> str:
        return self.name

    def reason(self, number: int) -> str | None:
        return self.reasons.get(number) or self.reasons.get(None)


def renamed(on: Any, old: str, new: str) -> Any:
    """The same object with another name wherever it has the old one."""
    if isinstance(on, str):
        return on.replace(old, new)
    if isinstance(on, Explained):
        return Explained(renamed(on.name, old, new), on.reasons)
    if isinstance(on, tuple):
        return tuple(renamed(item, old, new) for item in on)
    if isinstance(on, Data):
        return replace(on, **{name: renamed(value, old, new) for name, value in on.__dict__.items()})
    return on
