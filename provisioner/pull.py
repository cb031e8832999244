"""One pull: the layers of a resolved image into the store, several at a time.

Theory: a layer is a pure function of its chain id, so whoever makes it first has made it for all.
Each is made under its own lock; who waits for that lock finds the layer there afterwards. A layer
appears only after those below it did, since it takes attributes of directories from them
(layer.inherit); downloading and unpacking do not wait. Locks are taken bottom first, so processes
that pull the same image cannot wait for each other in a circle.
"""

from __future__ import annotations

import errno
import threading
from concurrent.futures import FIRST_EXCEPTION, CancelledError, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack

from launcher.remove_tree import remove_tree
from provisioner.errors import Cancelled, StoreError, reason
from provisioner.fetch import fetch
from provisioner.image import Image
from provisioner.layer.apply import Unpacked
from provisioner.layer.inherit import inherit
from provisioner.layer.limits import Budget, Limits
from provisioner.layer.stream import Readable
from provisioner.layer.unpack import unpack
from provisioner.layer.whiteouts import remove_idle
from provisioner.layer.workers import Workers
from provisioner.progress import Phase, Progress, note_of
from provisioner.reference import ImageReference
from provisioner.resolve import Resolved
from provisioner.sources.source import Remote, Source
from provisioner.store import locks, partials
from provisioner.store.ingest import Ingest
from provisioner.store.store import Store

_WORKERS = 3  # layers at a time; what Docker does, and registries expect
_FULL = (errno.ENOSPC, errno.EDQUOT)
_LOCK_POLL = 0.05  # seconds between looks at a layer that another process makes


def pull(
    store: Store,
    source: Source,
    reference: ImageReference,
    resolved: Resolved,
    *,
    limits: Limits,
    progress: Progress,
) -> Image:
    """Bring the image's layers into the store and publish it under the reference.

    Raises DigestMismatch, InvalidLayer, StoreError. Layers that were whole by then stay, and what has
    come of others: the next pull goes on from there.
    """
    keys = resolved.config.chain_ids
    blobs = {
        resolved.digest: resolved.manifest_content,
        resolved.manifest.config.digest: resolved.config_content,
    }
    try:
        with Ingest(store.paths, resumable=True) as ingest:
            ingest.claim(keys, blobs)
            store.sweep()  # of what this pull will not use: a killed one may have left the disk full
            _Layers(store, source, resolved, ingest, Budget(limits), progress).run()
            image = _image(store, reference, resolved)
            ingest.store(blobs)
            store.publish(image, root=resolved.root, platform=resolved.wanted)
        store.sweep()
    except OSError as error:
        if error.errno in _FULL:
            partials.sweep(store.paths, everything=True)
        raise StoreError(
            f"cannot store image {reference}: {reason(error)}",
            hint=f"look at the space, inodes and permissions of {store.paths.root}",
        ) from error
    return image


def _image(store: Store, reference: ImageReference, resolved: Resolved) -> Image:
    keys = resolved.config.chain_ids
    return Image(
        reference=str(reference),
        digest=resolved.digest,
        config_digest=resolved.manifest.config.digest,
        platform=str(resolved.config.platform),
        layers=keys,
        config=resolved.config.config,
        size=sum(store.layer_size(key) for key in keys),
        created=resolved.config.created,
    )


class _Layers:
    """The layers of one pull, each made in a thread of the pool."""

    def __init__(
        self,
        store: Store,
        source: Source,
        resolved: Resolved,
        ingest: Ingest,
        budget: Budget,
        progress: Progress,
    ) -> None:
        self._store = store
        self._source = source
        self._layers = resolved.manifest.layers
        self._diff_ids = resolved.config.diff_ids
        self._keys = resolved.config.chain_ids
        self._ingest = ingest
        self._budget = budget
        self._progress = progress
        self._workers = Workers()
        self._cancelled = threading.Event()
        self._futures: list[Future[None]] = []

    def run(self) -> None:
        """Raises what the first layer that failed raised."""
        with ExitStack() as stack:
            # The pool starts layers in order, so those that a layer waits for have started.
            stack.enter_context(self._workers)
            pool = ThreadPoolExecutor(_WORKERS, "layer")
            stack.callback(pool.shutdown, cancel_futures=True)
            stack.callback(self._cancel)
            for index in range(len(self._layers)):
                self._report(index, "waiting", 0)
                self._futures.append(pool.submit(self._obtain, index))
            wait(self._futures, return_when=FIRST_EXCEPTION)
        failures = [f.exception() for f in self._futures if not f.cancelled()]
        for failure in failures:
            if failure is not None and not isinstance(failure, Cancelled | CancelledError):
                raise failure

    def _cancel(self) -> None:
        """At the end, too, when nothing is left to be cancelled."""
        self._cancelled.set()
        if isinstance(self._source, Remote) and not all(future.done() for future in self._futures):
            self._source.interrupt()  # a thread that waits for the network looks at nothing else

    def _obtain(self, index: int) -> None:
        key = self._keys[index]
        if not self._store.has_layer(key):
            with locks.for_key(self._store.paths.layer_lock(key), self._pause):
                if not self._store.has_layer(key):
                    self._make(index)
                    self._report(index, "done", self._layers[index].size)
                    return
        self._report(index, "exists", self._layers[index].size)

    def _make(self, index: int) -> None:
        layer, staged = self._layers[index], ""

        def apply(blob: Readable) -> Unpacked:
            nonlocal staged
            if staged:  # with what was unpacked of a wrong blob
                remove_tree(staged)
            staged = self._ingest.stage(str(index))
            return self._unpack(index, blob, f"{staged}/diff")

        if isinstance(self._source, Remote):
            unpacked = fetch(self._store.paths, self._source, layer, apply, note_of(self._progress))
        else:
            with self._source.blob(layer) as blob:
                unpacked = apply(blob)
        self._report(index, "verifying", layer.size)
        if index > 0:
            self._futures[index - 1].result()
        lowers = [self._store.paths.diff(key) for key in reversed(self._keys[:index])]
        inherit(f"{staged}/diff", unpacked.implicit, lowers)
        remove_idle(f"{staged}/diff", unpacked.whiteouts, lowers)
        self._ingest.commit(staged, self._keys[index], unpacked.size, unpacked.skipped)

    def _unpack(self, index: int, blob: Readable, directory: str) -> Unpacked:
        return unpack(
            blob,
            self._layers[index],
            self._diff_ids[index],
            directory=directory,
            trash=self._ingest.trash,
            budget=self._budget,
            advance=lambda done: self._advance(index, done),
            workers=self._workers,
        )

    def _pause(self) -> None:
        if self._cancelled.wait(_LOCK_POLL):
            raise Cancelled

    def _advance(self, index: int, done: int) -> None:
        if self._cancelled.is_set():
            raise Cancelled
        total = self._layers[index].size
        self._report(index, "downloading" if done < total else "unpacking", done)

    def _report(self, index: int, phase: Phase, done: int) -> None:
        self._progress(self._layers[index].digest, phase, done, self._layers[index].size)
