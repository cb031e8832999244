"""Detach keys: what one types to leave a container running and go."""

from __future__ import annotations

from launcher.errors import InvalidRequest

_CONTROL = "@abcdefghijklmnopqrstuvwxyz[\\]^_"  # ctrl-@ is byte 0: ascii(7)


class DetachKeys:
    """Looks for the sequence in what is typed. Its beginning is held back until it is clear."""

    def __init__(self, sequence: bytes) -> None:
        """An empty sequence is never typed."""
        self._sequence = sequence
        self._held = b""

    @classmethod
    def parse(cls, text: str) -> DetachKeys:
        """From "ctrl-p,ctrl-q" or "ctrl-x,d"; "" for none. Raises InvalidRequest."""
        return cls(b"".join(_key(name) for name in text.split(",")) if text else b"")

    def feed(self, typed: bytes) -> tuple[bytes, bool]:
        """(what to pass on, whether the sequence has been typed)."""
        typed = self._held + typed
        before, found, _ = typed.partition(self._sequence) if self._sequence else (typed, b"", b"")
        if found:
            return before, True
        held = max(n for n in range(len(self._sequence) or 1) if typed.endswith(self._sequence[:n]))
        self._held = self._sequence[:held]
        return typed[: len(typed) - held], False


def _key(name: str) -> bytes:
    modifier, dash, letter = name.lower().rpartition("ctrl-")
    if dash and not modifier and len(letter) == 1 and letter in _CONTROL:
        return bytes((_CONTROL.index(letter),))
    if len(name) == 1 and name.isascii():
        return name.encode()
    hint = "write keys as a letter or ctrl-LETTER, separated by commas"
    raise InvalidRequest(f"invalid detach key {name!r}", hint=hint)
