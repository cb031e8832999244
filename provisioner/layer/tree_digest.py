"""The digest of a layer's tree: that of the archive which layer.read_layer makes, always the same way."""

from __future__ import annotations

import hashlib

from provisioner.layer.read_layer import LayerReader
from provisioner.layer.write_tar import TarWriter


def tree_digest(directory: str) -> str:
    """Raises StoreError, OSError."""
    digest = hashlib.sha256()
    writer = TarWriter(digest.update)
    for entry, content in LayerReader(directory):
        writer.add(entry, content)
    writer.finish()
    return f"sha256:{digest.hexdigest()}"
