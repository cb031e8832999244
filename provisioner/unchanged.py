"""Whether an image is still what its registry has under its name: one request that fetches nothing.

A manifest that the store has is compared by digest. Where the name stands for an index, only a pull
that went through it knows which image it led to, so that pull's record of the image says so.
"""

from __future__ import annotations

from provisioner.image import Image
from provisioner.platforms import Platform
from provisioner.reference import ImageReference
from provisioner.sources.source import Remote, Source
from provisioner.store.store import Store


def find(store: Store, source: Source, reference: ImageReference, wanted: Platform) -> Image | None:
    """The image, if it is whole in the store and still current. It counts as used now.

    Raises what the source raises.
    """
    image = store.find(reference)
    if image is None or not isinstance(source, Remote):
        return None
    root = store.root_of(reference, str(wanted))
    if root is None and image.platform == str(wanted):
        root = image.digest
    if root is None or not all(map(store.has_layer, image.layers)) or source.digest() != root:
        return None
    store.touch(image)
    return image
