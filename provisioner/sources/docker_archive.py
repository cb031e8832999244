"""docker-archive:FILE[:NAME[:TAG]]: what `docker save` writes; docker's image/spec/v1.2.md.

manifest.json             [{"Config": …, "RepoTags": […], "Layers": […]}], one for each image
CONFIG                    HEX.json, or blobs/sha256/HEX since Docker 25
LAYER                     HEX/layer.tar, HEX.tar or blobs/sha256/HEX; may be compressed, or a link to another

Before Docker 1.10 there was no manifest.json: see legacy_archive.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from launcher.data import Data
from provisioner.errors import ImageNotFound, InvalidImage, InvalidReference
from provisioner.layer.stream import CHUNK
from provisioner.manifest import MAX_DOCUMENT, MAX_LAYERS, parse_config, verify
from provisioner.reference import ImageReference
from provisioner.sources.archive import Archive
from provisioner.sources.spool import compression_of
from provisioner.sources.synthetic import LAYER_TYPE, LayerBlob, SyntheticImage

MANIFEST = "manifest.json"

_Key = TypeVar("_Key", bound=Hashable)
_SHA256 = re.compile(r"(?:.*/)?([0-9a-f]{64})(?:\.json)?")


class Saved(Data, kw_only=True):
    """One image of the archive."""

    config: str  # names in the archive
    layers: tuple[str, ...]
    names: tuple[str, ...]  # canonical references


def images_of(archive: Archive) -> list[Saved]:
    """What manifest.json lists. Raises InvalidImage, ImageNotFound."""
    content = archive.read(MANIFEST, MAX_DOCUMENT)
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InvalidImage(f"{MANIFEST} in {archive.what} is not JSON: {error}") from error
    if not isinstance(value, list) or not value:
        raise InvalidImage(f"{MANIFEST} in {archive.what} is no list of images")
    return [_saved(item, archive.what) for item in value]


def open_image(archive: Archive, saved: Saved, close: Callable[[], object] = lambda: None) -> SyntheticImage:
    """The Source of one image of the archive. Raises InvalidImage, DigestMismatch."""
    config = archive.read(saved.config, MAX_DOCUMENT)
    if match := _SHA256.fullmatch(saved.config):
        verify(config, f"sha256:{match[1]}", f"configuration {saved.config} in {archive.what}")
    parsed = parse_config(config, len(saved.layers), f"{saved.config} in {archive.what}")
    layers = [
        _layer(archive, name, diff_id) for name, diff_id in zip(saved.layers, parsed.diff_ids, strict=True)
    ]
    return SyntheticImage(config, layers, close=close)


def open_reference(reference: ImageReference, scratch: str) -> SyntheticImage:
    """The Source of `docker-archive:FILE[:NAME]`. Raises ImageNotFound, InvalidImage."""
    from provisioner.sources import legacy_archive  # which has its names from here

    archive = Archive.open(reference.repository, scratch)
    try:
        if MANIFEST not in archive and legacy_archive.REPOSITORIES in archive:
            named = legacy_archive.images_of(archive)
            return legacy_archive.open_image(archive, _choose(named, reference), archive.close)
        saved = images_of(archive)
        chosen = _choose({number: image.names for number, image in enumerate(saved)}, reference)
        return open_image(archive, saved[chosen], archive.close)
    except BaseException:
        archive.close()
        raise


def _choose(saved: Mapping[_Key, Sequence[str]], reference: ImageReference) -> _Key:
    """Of the images, of which each has names, the one that is meant."""
    if reference.tag is None and len(saved) == 1:
        return next(iter(saved))
    for image, names_of_it in saved.items():
        if reference.tag in names_of_it:
            return image
    names = ", ".join(sorted(name for names_of_it in saved.values() for name in names_of_it))
    what = f"no image {reference.tag!r}" if reference.tag else f"{len(saved)} images"
    raise ImageNotFound(
        f"{what} in {reference.repository}",
        hint=f"name one (docker-archive:FILE:NAME): {names or 'they have no names; use `load`'}",
    )


def _saved(item: Any, what: str) -> Saved:
    config, layers, tags = (
        item.get(k) if isinstance(item, dict) else None for k in ("Config", "Layers", "RepoTags")
    )
    layers, tags = layers or [], tags or []
    if not isinstance(config, str) or not _are_strings(layers) or not _are_strings(tags):
        raise InvalidImage(f"{MANIFEST} in {what} describes an image without Config, Layers or RepoTags")
    if len(layers) > MAX_LAYERS:
        raise InvalidImage(f"an image in {what} has {len(layers)} layers; overlayfs takes {MAX_LAYERS}")
    return Saved(config=config, layers=tuple(layers), names=tuple(names_of(tags)))


def _are_strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def names_of(tags: list[str]) -> Iterator[str]:
    """Canonical references. Raises InvalidImage."""
    for tag in tags:
        try:
            reference = ImageReference.parse(tag)
        except InvalidReference as error:
            raise InvalidImage(f"the archive names an image {tag!r}: {error.message}") from error
        # One that names a file of the host would take the place of that in the store.
        if reference.transport != "docker":
            raise InvalidImage(f"the archive names an image {tag!r}, which is no name of a registry's")
        yield str(reference)


def _layer(archive: Archive, name: str, diff_id: str) -> LayerBlob:
    """Its digest is promised by the configuration where it is plain, and computed where it is compressed."""
    size = archive.size(name)
    compression = compression_of(archive.stream(name).read(8))
    if compression == "none":
        return LayerBlob(digest=diff_id, size=size, stream=lambda: archive.stream(name))
    if compression not in ("gzip", "zstd"):
        raise InvalidImage(f"layer {name} in {archive.what} is compressed with {compression}")
    return LayerBlob(
        digest=digest_of(archive, name),
        size=size,
        media_type=f"{LAYER_TYPE}+{compression}",
        stream=lambda: archive.stream(name),
    )


def digest_of(archive: Archive, name: str) -> str:
    """That of a file in the archive."""
    digest, stream = hashlib.sha256(), archive.stream(name)
    while chunk := stream.read(CHUNK):
        digest.update(chunk)
    return f"sha256:{digest.hexdigest()}"
