"""Unpack one layer: from the stream of a blob to a directory, verified on the way."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator

from launcher.data import Data
from provisioner.errors import DigestMismatch, InvalidLayer
from provisioner.layer.stream import (
    ByteStream,
    MalformedContent,
    Readable,
    Verified,
    check_digest,
    decompress,
)
from provisioner.layer.tar import TarReader
from provisioner.layer.tree import LayerTree
from provisioner.manifest import Descriptor

_PUSH_AGAIN = "pull again; if it stays so, the image is broken in its registry: push it again"


class Limits(Data, kw_only=True):
    """What one image may take. Generous: they stop bombs, not large images."""

    unpacked_bytes: int = 64 << 30  # of the layers' uncompressed archives together
    entries: int = 4_000_000  # files, directories and links, each an inode or a name


class LimitExceeded(MalformedContent):
    """The image is larger than the limits."""


class Budget:
    """What is left of the limits, shared by the layers of one image and by their threads."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._bytes = limits.unpacked_bytes
        self._entries = limits.entries
        self._lock = threading.Lock()

    def spend(self, *, size: int = 0, entries: int = 0) -> None:
        """Raises LimitExceeded."""
        with self._lock:
            self._bytes -= size
            self._entries -= entries
            over_bytes, over_entries = self._bytes < 0, self._entries < 0
        if over_bytes:
            raise LimitExceeded(f"the image unpacks to more than {self._limits.unpacked_bytes} bytes")
        if over_entries:
            raise LimitExceeded(f"the image has more than {self._limits.entries} files")


class Unpacked(Data, kw_only=True):
    """A layer on disk."""

    size: int  # bytes of its files
    implicit: tuple[bytes, ...]  # directories to complete from the layers below: layer.inherit


def unpack(
    blob: Readable,
    layer: Descriptor,
    diff_id: str,
    *,
    directory: str,
    trash: str,
    budget: Budget,
    advance: Callable[[int], None],
) -> Unpacked:
    """Unpack the stream into `directory`, which exists and is empty; `trash` is one beside it.

    `advance` is told the compressed bytes read so far. Raises DigestMismatch, InvalidLayer, or
    OSError when the host is at fault; what is in `directory` is then worth nothing.
    """
    verified = Verified(blob, layer.digest, layer.size, advance)
    try:
        try:
            return _unpack(verified, layer, diff_id, directory, trash, budget)
        except LimitExceeded:
            raise
        except MalformedContent:
            # Damage on the way is a DigestMismatch, wherever the format noticed it first.
            verified.drain()
            raise
    except DigestMismatch as error:
        raise DigestMismatch(f"layer {layer.digest}: {error.message}", hint=_PUSH_AGAIN) from error
    except MalformedContent as error:
        raise InvalidLayer(f"layer {layer.digest}: {error}", hint=_PUSH_AGAIN) from error


def _unpack(
    verified: Verified, layer: Descriptor, diff_id: str, directory: str, trash: str, budget: Budget
) -> Unpacked:
    digest = hashlib.new(diff_id.partition(":")[0])

    def observed() -> Iterator[bytes]:
        for chunk in decompress(verified, layer.compression):
            digest.update(chunk)
            budget.spend(size=len(chunk))
            yield chunk

    stream = ByteStream(observed())
    unpacked = _apply(TarReader(stream), directory, trash, budget)
    while stream.some(1 << 20):  # an archive without an end marker may still have padding
        pass
    verified.drain()
    check_digest(digest.hexdigest(), diff_id)
    return unpacked


def _apply(reader: TarReader, directory: str, trash: str, budget: Budget) -> Unpacked:
    root_fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    trash_fd = os.open(trash, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    tree = LayerTree(root_fd, trash_fd)
    try:
        for entry in reader:
            budget.spend(entries=1)
            tree.apply(entry, reader.content())
        tree.finish()
    finally:
        tree.close()
        os.close(trash_fd)
        os.close(root_fd)
    return Unpacked(size=tree.size, implicit=tuple(sorted(tree.implicit)))
