"""Unpack one layer: from the stream of a blob to a directory, verified on the way.

    this process                                       a worker process
    blob → Verified (compressed digest and size) → pipe → decompress → digest → tar → files

So downloading and unpacking go on at once, and several layers on several processors: most of
unpacking is Python, of which a process runs one thread at a time. A small layer is unpacked right
here, in less time than a worker takes to start.
"""

from __future__ import annotations

import io
import os
from _thread import allocate_lock
from collections.abc import Callable

from provisioner.errors import DigestMismatch, InvalidLayer
from provisioner.layer import skeleton
from provisioner.layer.apply import Job, Unpacked, apply
from provisioner.layer.limits import Budget, LayerBudget, LimitExceeded
from provisioner.layer.stream import CHUNK, MalformedContent, Readable, Verified
from provisioner.layer.workers import Workers
from provisioner.manifest import Descriptor

_SMALL = 1 << 20  # bytes of a compressed layer
_TURN = allocate_lock()
_PUSH_AGAIN = "pull again; if it stays so, the image is broken in its registry: push it again"


def unpack(
    blob: Readable,
    layer: Descriptor,
    diff_id: str,
    *,
    directory: str,
    trash: str,
    budget: Budget,
    advance: Callable[[int], None],
    workers: Workers | None = None,
) -> Unpacked:
    """Unpack the stream into `directory`, which exists and is empty; `trash` is one beside it.

    The archive's skeleton appears beside it too, unless the archive has something twice.

    `advance` is told the compressed bytes read so far. Raises DigestMismatch, InvalidLayer, or
    OSError when the host is at fault; what is in `directory` is then worth nothing.
    """
    verified = Verified(blob, layer.digest, layer.size, advance)
    job = Job(
        compression=layer.compression,
        diff_id=diff_id,
        directory=directory,
        trash=trash,
        skeleton=f"{os.path.dirname(directory)}/{skeleton.NAME}",
    )
    try:
        try:
            if layer.size < _SMALL:
                unpacked = _apply_here(job, verified, budget.for_layer(layer.size))
            elif workers is None:
                unpacked = apply(job, verified, budget.for_layer(layer.size))
            else:
                unpacked = workers.apply(job, verified, layer.size, budget)
            verified.drain()
            return unpacked
        except LimitExceeded:
            raise
        except (MalformedContent, DigestMismatch):
            # Damage on the way is a mismatch of the blob's digest, wherever it was noticed first.
            verified.drain()
            raise
    except DigestMismatch as error:
        raise DigestMismatch(f"layer {layer.digest}: {error.message}", hint=_PUSH_AGAIN) from error
    except MalformedContent as error:
        raise InvalidLayer(f"layer {layer.digest}: {error}", hint=_PUSH_AGAIN) from error


def _apply_here(job: Job, verified: Verified, budget: LayerBudget) -> Unpacked:
    """Read it first, and unpack it in turns: threads of Python that do so at once only hinder each other."""
    pieces = []
    while chunk := verified.read(CHUNK):
        pieces.append(chunk)
    with _TURN:
        return apply(job, io.BytesIO(b"".join(pieces)), budget)
