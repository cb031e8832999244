"""Limits: what one image may take of this host, and the accounts that are kept of it."""

from __future__ import annotations

from _thread import allocate_lock
from collections.abc import Callable

from launcher.data import Data
from provisioner.layer.stream import MalformedContent

_ANY_RATIO = 256 << 20  # bytes that a layer may unpack to whatever its ratio: zeros are no bomb yet


_NEVER = 1 << 63
_TOLD_BYTES, _TOLD_ENTRIES = 16 << 20, 4096  # that a process spends before it tells of them


class Limits(Data, kw_only=True):
    """What one image may take. Generous: they stop bombs, not large images."""

    unpacked_bytes: int = 64 << 30  # of the layers' uncompressed archives and holes together
    entries: int = 4_000_000  # files, directories and links, each an inode or a name
    ratio: int = 2_000  # uncompressed bytes a compressed one; deflate reaches 1032


class LimitExceeded(MalformedContent):
    """The image is larger than the limits."""


class Budget:
    """What is left of the limits, shared by the layers of one image and by their threads."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._bytes = limits.unpacked_bytes
        self._entries = limits.entries
        self._lock = allocate_lock()

    def left(self) -> Limits:
        """Limits for another process, which tells what it spends."""
        with self._lock:
            return Limits(unpacked_bytes=self._bytes, entries=self._entries, ratio=self._limits.ratio)

    def for_layer(self, compressed: int, tell: Callable[[int, int], object] | None = None) -> LayerBudget:
        """The account of a layer of so many compressed bytes. Now and then `tell` is told what it spent."""
        return LayerBudget(self, compressed, self._limits.ratio, tell)

    def spend(self, size: int, entries: int) -> None:
        """Less than nothing is given back. Raises LimitExceeded."""
        with self._lock:
            self._bytes -= size
            self._entries -= entries
            over_bytes, over_entries = self._bytes < 0, self._entries < 0
        if over_bytes:
            raise LimitExceeded(f"the image unpacks to more than {self._limits.unpacked_bytes} bytes")
        if over_entries:
            raise LimitExceeded(f"the image has more than {self._limits.entries} files")


class LayerBudget:
    """What one layer has spent."""

    def __init__(
        self, budget: Budget, compressed: int, ratio: int, tell: Callable[[int, int], object] | None
    ) -> None:
        self.bytes = 0
        self.entries = 0
        self._tell = tell
        self._tell_bytes, self._tell_entries = (_TOLD_BYTES, _TOLD_ENTRIES) if tell else (_NEVER, _NEVER)
        self._budget = budget
        self._ratio = ratio
        self._most = max(_ANY_RATIO, ratio * compressed)

    def spend(self, *, size: int = 0, entries: int = 0) -> None:
        """Raises LimitExceeded."""
        self.bytes += size
        self.entries += entries
        self._budget.spend(size, entries)
        if self.bytes > self._most:
            raise LimitExceeded(f"it unpacks to more than {self._ratio} times its size")
        if self.bytes >= self._tell_bytes or self.entries >= self._tell_entries:
            self._tell_bytes, self._tell_entries = self.bytes + _TOLD_BYTES, self.entries + _TOLD_ENTRIES
            if self._tell is not None:
                self._tell(self.bytes, self.entries)
