"""What a system call of a launch program acts on, where the errno's own text would not say enough."""

from __future__ import annotations

from collections.abc import Mapping


class Explained:
    """An object by its name, with better reasons for some errnos, or for all (`None`)."""

    def __init__(self, name: str, reasons: Mapping[int | None, str]) -> None:
        self.name = name
        self.reasons = reasons

    def __str__(self) -> str:
        return self.name

    def reason(self, number: int) -> str | None:
        return self.reasons.get(number) or self.reasons.get(None)
