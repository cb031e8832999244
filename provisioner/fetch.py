"""Fetching a layer's blob from afar so that nothing has to come twice, and nothing wrong counts.

What a pull before had of it comes from the store, the rest from the source, and goes to the store
on its way: see store.partials. A blob that turns out wrong is fetched anew, first without what was
there, then elsewhere, until nobody is left who may have it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing
from typing import TypeVar

from provisioner.errors import DigestMismatch, InvalidLayer
from provisioner.layer.limits import LimitExceeded
from provisioner.layer.stream import Readable
from provisioner.manifest import Descriptor
from provisioner.sources.source import Remote
from provisioner.store.partials import Partial, open_partial
from provisioner.store.paths import StorePaths

_T = TypeVar("_T")


def fetch(
    paths: StorePaths,
    source: Remote,
    layer: Descriptor,
    use: Callable[[Readable], _T],
    note: Callable[[str], None],
) -> _T:
    """What `use` makes of the blob's stream, which it verifies; it is called again after a wrong one.

    Raises what `use` and the source raise.
    """
    while True:
        with ExitStack() as stack:
            partial = open_partial(paths, layer.digest, layer.size)
            if partial is not None:
                stack.enter_context(closing(partial))
                if partial.start:
                    note(f"layer {layer.digest}: {partial.start} of {layer.size} bytes are here already")
            try:
                used = use(_Joined(source, layer, partial, stack))
            except (DigestMismatch, InvalidLayer) as error:
                if not _fetch_again(source, layer, partial, error):
                    raise
            else:
                if partial is not None:
                    partial.drop()
                return used


def _fetch_again(
    source: Remote, layer: Descriptor, partial: Partial | None, error: DigestMismatch | InvalidLayer
) -> bool:
    """Whether the blob may still come right; what there is of it is thrown away."""
    if isinstance(error.__cause__, LimitExceeded):
        return False
    start, is_genuine = 0, False
    if partial is not None:
        start, is_genuine = partial.start, partial.is_genuine(layer.digest)
        partial.drop()
    if is_genuine:  # it is the image that is broken
        return False
    return start > 0 or source.distrust(layer, error.message)


class _Joined:
    """A Readable: the blob from its first byte."""

    def __init__(self, source: Remote, layer: Descriptor, partial: Partial | None, stack: ExitStack) -> None:
        """`stack` will close what it opens."""
        self._source = source
        self._layer = layer
        self._partial = partial
        self._stack = stack
        self._rest: Readable | None = None

    def read(self, size: int, /) -> bytes:
        if self._rest is None:
            if self._partial is not None and (chunk := self._partial.read(size)):
                return chunk
            self._rest = self._open()
        chunk = self._rest.read(size)
        if chunk and self._partial is not None:
            self._partial.append(chunk)
        return chunk

    def _open(self) -> Readable:
        start = self._partial.start if self._partial is not None else 0
        if 0 < start == self._layer.size:
            return _NOTHING
        return self._stack.enter_context(self._source.rest(self._layer, start))


class _Nothing:
    def read(self, size: int, /) -> bytes:
        return b""


_NOTHING = _Nothing()
