"""Whether an image is still what its registry has under its name: one request that fetches nothing.

A manifest that the store has is compared by digest. Where the name stands for an index, only the
pull that went through it knows which image it led to, so that is remembered in the process.
"""

from __future__ import annotations

from provisioner.image import Image
from provisioner.platforms import Platform
from provisioner.reference import ImageReference
from provisioner.sources.source import Remote, Source
from provisioner.store.store import Store


class Unchanged:
    """Safe to use from several threads: each step is one of a dictionary's."""

    def __init__(self) -> None:
        # (name, platform) → (digest of what the name stood for, digest of the image)
        self._seen: dict[tuple[str, str], tuple[str, str]] = {}

    def remember(self, reference: ImageReference, wanted: Platform, root: str, image: Image) -> None:
        self._seen[str(reference), str(wanted)] = (root, image.digest)

    def find(self, store: Store, source: Source, reference: ImageReference, wanted: Platform) -> Image | None:
        """The image, if it is whole in the store and still current. Raises what the source raises."""
        image = store.find(reference)
        if image is None or not isinstance(source, Remote):
            return None
        root = self._root(reference, wanted, image)
        if root is None or not all(map(store.has_layer, image.layers)):
            return None
        return image if source.digest() == root else None

    def _root(self, reference: ImageReference, wanted: Platform, image: Image) -> str | None:
        root, digest = self._seen.get((str(reference), str(wanted)), ("", ""))
        if digest == image.digest:
            return root
        return image.digest if image.platform == str(wanted) else None
