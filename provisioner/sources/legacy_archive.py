"""What `docker save` wrote before version 1.10, without a manifest.json; docker's image/spec/v1.md.

repositories          {NAME: {TAG: ID}}
ID/json               one layer, and the image that ends with it: parent, config, os, architecture …
ID/layer.tar

An ID is no digest, so nothing promises what a layer holds: each is hashed here, and has that digest
from then on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from provisioner.errors import InvalidImage
from provisioner.manifest import MAX_DOCUMENT, MAX_LAYERS
from provisioner.sources.archive import Archive
from provisioner.sources.docker_archive import digest_of, names_of
from provisioner.sources.spool import compression_of
from provisioner.sources.synthetic import LayerBlob, SyntheticImage

REPOSITORIES = "repositories"

_KEPT = ("created", "author", "architecture", "os", "config")
_ID = re.compile(r"[0-9a-f]{64}")


def images_of(archive: Archive) -> dict[str, tuple[str, ...]]:
    """The ids of the images, and the names of each. Raises InvalidImage."""
    found: dict[str, list[str]] = {}
    for name, tags in _object(archive, REPOSITORIES).items():
        if not isinstance(tags, dict) or not all(isinstance(each, str) for each in tags.values()):
            raise InvalidImage(f"{REPOSITORIES} in {archive.what} has no tags for {name!r}")
        for tag, image in tags.items():
            found.setdefault(image, []).extend(names_of([f"{name}:{tag}"]))
    return {image: tuple(names) for image, names in found.items()}


def open_image(archive: Archive, image: str, close: Callable[[], object] = lambda: None) -> SyntheticImage:
    """The Source of one image. Raises InvalidImage, ImageNotFound."""
    chain = list(_chain(archive, image))
    top = chain[0][1]
    layers = [_layer(archive, f"{each}/layer.tar") for each, _ in reversed(chain)]
    config: dict[str, Any] = {key: top[key] for key in _KEPT if key in top}
    config["rootfs"] = {"type": "layers", "diff_ids": [layer.digest for layer in layers]}
    return SyntheticImage(json.dumps(config, separators=(",", ":")).encode(), layers, close=close)


def _chain(archive: Archive, image: str | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """From the top to the bottom."""
    for _ in range(MAX_LAYERS):
        if image is None:
            return
        if not isinstance(image, str) or not _ID.fullmatch(image):
            raise InvalidImage(f"{archive.what} has the layer id {image!r}")
        value = _object(archive, f"{image}/json")
        yield image, value
        image = value.get("parent") or None
    raise InvalidImage(f"an image in {archive.what} has more than {MAX_LAYERS} layers, or is its own parent")


def _layer(archive: Archive, name: str) -> LayerBlob:
    if compression_of(archive.stream(name).read(8)) != "none":
        raise InvalidImage(f"layer {name} in {archive.what} is compressed")
    return LayerBlob(
        digest=digest_of(archive, name), size=archive.size(name), stream=lambda: archive.stream(name)
    )


def _object(archive: Archive, name: str) -> dict[str, Any]:
    try:
        value = json.loads(archive.read(name, MAX_DOCUMENT))
    except (ValueError, RecursionError) as error:
        raise InvalidImage(f"{name} in {archive.what} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise InvalidImage(f"{name} in {archive.what} is not a JSON object")
    return value
