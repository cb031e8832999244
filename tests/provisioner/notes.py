"""A Progress that keeps what it is told."""

from __future__ import annotations


class Notes:
    """The sentences, and the last phase of each layer."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.phases: dict[str, str] = {}

    def __call__(self, layer: str, phase: str, done: int, total: int) -> None:
        self.phases[layer] = phase

    def note(self, text: str) -> None:
        self.texts.append(text)

    def has(self, *words: str) -> bool:
        """Whether one sentence has all the words."""
        return any(all(word in text for word in words) for text in self.texts)
