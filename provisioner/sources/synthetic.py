"""SyntheticImage: a Source for what has no manifest of its own, such as a docker archive or an ACI.

The manifest made here is always the same for the same configuration and layers, so its digest names
them as one from a registry would.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence

from launcher.data import Data
from provisioner.errors import InvalidImage
from provisioner.layer.stream import Readable
from provisioner.manifest import MAX_DOCUMENT, Descriptor, sha256
from provisioner.sources.source import Document

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"


class LayerBlob(Data, kw_only=True):
    """A layer, and how to get at it."""

    digest: str
    size: int
    media_type: str = LAYER_TYPE
    stream: Callable[[], Readable]


class SyntheticImage:
    """The Source of one image, made of parts."""

    def __init__(
        self,
        config: bytes,
        layers: Sequence[LayerBlob],
        *,
        annotations: Mapping[str, str] | None = None,
        close: Callable[[], object] = lambda: None,
    ) -> None:
        """`close` gives back what the layers are read from. Raises InvalidImage."""
        if len(config) > MAX_DOCUMENT:
            raise InvalidImage(f"the configuration of the image is larger than {MAX_DOCUMENT} bytes")
        self._config = config
        self._layers = {layer.digest: layer for layer in layers}
        self._close = close
        self._manifest = manifest_of(
            descriptor(CONFIG_TYPE, sha256(config), len(config)),
            [descriptor(layer.media_type, layer.digest, layer.size) for layer in layers],
            annotations,
        )

    def root(self) -> Document:
        return Document(content=self._manifest, media_type=MANIFEST_TYPE)

    def document(self, descriptor: Descriptor) -> Document:
        raise InvalidImage(f"the image has no index, and so no {descriptor.digest}")

    def small_blob(self, descriptor: Descriptor) -> bytes:
        return self._config

    @contextlib.contextmanager
    def blob(self, descriptor: Descriptor) -> Iterator[Readable]:
        yield self._layers[descriptor.digest].stream()

    def close(self) -> None:
        self._close()


def descriptor(media_type: str, digest: str, size: int) -> dict[str, object]:
    """A descriptor as JSON has it."""
    return {"mediaType": media_type, "digest": digest, "size": size}


def manifest_of(
    config: Mapping[str, object],
    layers: Sequence[Mapping[str, object]],
    annotations: Mapping[str, str] | None = None,
) -> bytes:
    """An OCI image manifest of these descriptors."""
    value = {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": config, "layers": layers}
    if annotations:
        value["annotations"] = dict(sorted(annotations.items()))
    return json.dumps(value, separators=(",", ":")).encode()
