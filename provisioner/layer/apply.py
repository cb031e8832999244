"""From the compressed stream of one layer to its directory, in this process and thread."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator

from launcher.data import Data
from provisioner.layer.limits import LayerBudget
from provisioner.layer.metadata import Metadata
from provisioner.layer.skeleton import SkeletonWriter
from provisioner.layer.stream import OUTPUT, ByteStream, Readable, check_digest, decompress
from provisioner.layer.tar import TarReader
from provisioner.layer.tree import LayerTree
from provisioner.manifest import Compression


class Job(Data, kw_only=True):
    """What to do with a stream."""

    compression: Compression
    diff_id: str  # digest of the uncompressed archive
    directory: str  # exists and is empty
    trash: str  # a directory on the same filesystem
    skeleton: str | None = None  # where to keep what becomes no file of the archive: layer.skeleton
    umask: int = 0o777  # this process's, or more


class Unpacked(Data, kw_only=True):
    """A layer on disk."""

    size: int  # bytes of its files
    implicit: tuple[bytes, ...]  # directories to complete from the layers below: layer.inherit
    whiteouts: tuple[bytes, ...] = ()  # to be looked at when those layers are there: layer.whiteouts
    skipped: tuple[str, ...] = ()  # what could not be made without root's privileges, a sentence a reason


def apply(job: Job, source: Readable, budget: LayerBudget) -> Unpacked:
    """Read the stream to its end. Raises DigestMismatch, MalformedContent, or OSError."""
    skeleton = SkeletonWriter(job.skeleton) if job.skeleton is not None else None
    try:
        return _apply(job, source, budget, skeleton)
    finally:
        if skeleton is not None:
            skeleton.close()


def _apply(job: Job, source: Readable, budget: LayerBudget, skeleton: SkeletonWriter | None) -> Unpacked:
    digest = hashlib.new(job.diff_id.partition(":")[0])

    def observed() -> Iterator[bytes]:
        for chunk in decompress(source, job.compression):
            digest.update(chunk)
            budget.spend(size=len(chunk))
            yield chunk

    stream = ByteStream(observed(), skeleton.write if skeleton is not None else None)
    unpacked, replaced = _make(TarReader(stream), job, budget)
    while stream.some(OUTPUT):  # an archive without an end marker may still have padding
        pass
    check_digest(digest.hexdigest(), job.diff_id)
    if skeleton is not None:
        skeleton.finish()
        if replaced:  # a content is gone, without which the archive cannot be made again
            skeleton.discard()
    return unpacked


def _make(reader: TarReader, job: Job, budget: LayerBudget) -> tuple[Unpacked, bool]:
    """The layer, and whether an entry replaced another."""
    root_fd = os.open(job.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    trash_fd = os.open(job.trash, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    metadata = Metadata(umask=job.umask)
    tree = LayerTree(root_fd, trash_fd, metadata)
    try:
        for entry in reader:
            # A hole takes no space, but whoever copies or archives the file meets all of it.
            budget.spend(entries=1, size=0 if entry.segments is None else entry.size)
            tree.apply(entry, reader.stored())
        tree.finish()
    finally:
        tree.close()
        os.close(trash_fd)
        os.close(root_fd)
    implicit, skipped = tuple(sorted(tree.implicit)), metadata.skipped.sentences()
    unpacked = Unpacked(size=tree.size, implicit=implicit, whiteouts=tuple(tree.whiteouts), skipped=skipped)
    return unpacked, tree.replaced
