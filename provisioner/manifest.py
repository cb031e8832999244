"""Manifests, indexes and image configurations: untrusted JSON into checked data.

Docker's schema 2 and OCI's image-spec 1.1 describe the same things under different media types;
the tables below are the only place that knows both.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal

from launcher.data import Data
from provisioner.errors import DigestMismatch, InvalidImage, UnsupportedMediaType
from provisioner.platforms import Platform
from provisioner.reference import is_digest

MAX_DOCUMENT = 4 << 20  # bytes of a manifest, index or configuration; what registries accept too
_MAX_SIZE = 1 << 63  # bytes: what int64 holds, as the specification has it
MAX_LAYERS = 500  # overlayfs stacks no more (OVL_MAX_STACK)

Compression = Literal["none", "gzip", "zstd"]

MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_CONFIGS = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)
_LAYERS: Mapping[str, Compression] = {
    "application/vnd.oci.image.layer.v1.tar": "none",
    "application/vnd.oci.image.layer.v1.tar+gzip": "gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd": "zstd",
    "application/vnd.docker.image.rootfs.diff.tar": "none",
    "application/vnd.docker.image.rootfs.diff.tar.gzip": "gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd": "zstd",
}
_FOREIGN = (  # layers that a registry does not have: they are fetched from URLs in the manifest
    "application/vnd.oci.image.layer.nondistributable.v1.",
    "application/vnd.docker.image.rootfs.foreign.",
)
_ATTESTS = "vnd.docker.reference.type"  # BuildKit's annotation
_SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+"


class Descriptor(Data, kw_only=True):
    """A reference to content: what it is, what it hashes to, how long it is."""

    media_type: str
    digest: str
    size: int  # bytes
    platform: Platform | None = None  # in an index only
    annotations: Mapping[str, str]
    artifact_type: str = ""  # in an index only: what it is, if it is no image

    @property
    def is_artifact(self) -> bool:
        """Whether an index lists it beside images: a signature, an attestation, a chart …"""
        return bool(self.artifact_type) or _ATTESTS in self.annotations

    def __hash__(self) -> int:
        return hash(self.digest)

    @property
    def compression(self) -> Compression:
        """Of a layer."""
        return _LAYERS[self.media_type]


class Index(Data, kw_only=True):
    """The manifests of one image for several platforms; may hold further indexes."""

    manifests: tuple[Descriptor, ...]


class Manifest(Data, kw_only=True):
    """One image: a configuration and its layers, bottom first."""

    config: Descriptor
    layers: tuple[Descriptor, ...]


class ImageConfig(Data, kw_only=True):
    """What the provisioner needs of an image configuration."""

    platform: Platform
    created: str | None
    config: Mapping[str, Any]
    diff_ids: tuple[str, ...]  # digest of each layer's uncompressed tar

    @property
    def chain_ids(self) -> tuple[str, ...]:
        """A name for each layer on top of those below it; image-spec config.md, "Layer ChainID"."""
        chain: list[str] = []
        for diff_id in self.diff_ids:
            chain.append(sha256(f"{chain[-1]} {diff_id}".encode()) if chain else diff_id)
        return tuple(chain)


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def verify(content: bytes, digest: str, what: str) -> None:
    """Raises DigestMismatch unless `content` hashes to `digest`."""
    algorithm = digest.partition(":")[0]
    actual = f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"
    if actual != digest:
        raise DigestMismatch(
            f"{what} hashes to {actual}, not to {digest}",
            hint="the registry or something on the way changed it: do not use it; push the image again",
        )


def parse_document(content: bytes, media_type: str, what: str) -> Index | Manifest:
    """Read a manifest or an index; `media_type` is what its source called it, or "".

    Raises InvalidImage or UnsupportedMediaType, which name `what`.
    """
    value = _object(content, what)
    media_type = _media_type(value, media_type, what)
    # One document that is both would be a different image for each reader: CVE-2021-41190.
    if "manifests" in value and ("layers" in value or "config" in value):
        raise InvalidImage(f"{what} is both an index and a manifest")
    if value.get("artifactType") and media_type in INDEXES:
        raise UnsupportedMediaType(
            f"{what} is not an image: it is an index of artifacts of type {value['artifactType']!r}",
            hint="name a container image",
        )
    if media_type in INDEXES:
        return Index(manifests=tuple(_descriptor(item, what) for item in _list(value, "manifests", what)))
    return _manifest(value, what)


def parse_config(content: bytes, layers: int, what: str) -> ImageConfig:
    """Read the configuration of an image with so many layers. Raises InvalidImage."""
    value = _object(content, what)
    rootfs = value.get("rootfs")
    diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    diff_ids = [] if diff_ids is None else diff_ids  # Go writes an empty list as null
    if not isinstance(diff_ids, list) or not all(isinstance(i, str) and is_digest(i) for i in diff_ids):
        raise InvalidImage(f"{what} has no valid rootfs.diff_ids")
    if len(diff_ids) != layers:
        raise InvalidImage(f"{what} names {len(diff_ids)} layers, its manifest {layers}")
    config, created = value.get("config"), value.get("created")
    config = {} if config is None else config
    if not isinstance(config, dict) or not isinstance(created, str | None):
        raise InvalidImage(f"{what} has a malformed config or created")
    platform = Platform.from_json(value)
    return ImageConfig(platform=platform, created=created, config=config, diff_ids=tuple(diff_ids))


def _object(content: bytes, what: str) -> dict[str, Any]:
    try:
        value = json.loads(content.decode())  # by itself json would read UTF-16, too
    except (ValueError, RecursionError) as error:
        raise InvalidImage(f"{what} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise InvalidImage(f"{what} is not a JSON object")
    return value


def _media_type(value: Mapping[str, Any], served: str, what: str) -> str:
    declared = value.get("mediaType") or served.partition(";")[0].strip().lower()
    if value.get("schemaVersion") == 1 or str(declared).startswith(_SCHEMA1):
        raise UnsupportedMediaType(
            f"{what} is in Docker's schema 1, which carries no verifiable digests",
            hint="push the image again with a current tool",
        )
    if declared not in (*MANIFESTS, *INDEXES):
        # Old writers of OCI layouts leave the media type out: the fields must tell.
        if not value.get("mediaType") and value.get("schemaVersion") == 2:
            return INDEXES[0] if "manifests" in value else MANIFESTS[0]
        raise UnsupportedMediaType(f"{what} has the unsupported media type {declared!r}")
    return str(declared)


def _manifest(value: Mapping[str, Any], what: str) -> Manifest:
    config = _descriptor(value.get("config"), what)
    if config.media_type not in _CONFIGS:
        raise UnsupportedMediaType(
            f"{what} is not an image: its configuration has the media type {config.media_type!r}",
            hint="it may be a chart or another artifact; name a container image",
        )
    layers = tuple(_descriptor(item, what) for item in _list(value, "layers", what))
    for layer in layers:
        if layer.media_type.startswith(_FOREIGN):
            raise UnsupportedMediaType(
                f"layer {layer.digest} of {what} is foreign: it has the media type {layer.media_type!r}",
                hint="such layers are not in the registry; push the image again with all of its layers",
            )
        if layer.media_type not in _LAYERS:
            raise UnsupportedMediaType(
                f"layer {layer.digest} of {what} has the unsupported media type {layer.media_type!r}",
                hint="supported are tar layers, plain or compressed with gzip or zstd",
            )
    if len(layers) > MAX_LAYERS:
        raise InvalidImage(f"{what} has {len(layers)} layers; overlayfs takes {MAX_LAYERS}")
    return Manifest(config=config, layers=layers)


def _list(value: Mapping[str, Any], key: str, what: str) -> list[Any]:
    items = value.get(key)
    items = [] if items is None else items
    if not isinstance(items, list):
        raise InvalidImage(f"{what} has no list of {key}")
    return items


def _descriptor(value: Any, what: str) -> Descriptor:
    if not isinstance(value, dict):
        raise InvalidImage(f"{what} has a descriptor that is not an object")
    media_type, digest, size = (value.get(key) for key in ("mediaType", "digest", "size"))
    if not isinstance(digest, str) or not is_digest(digest):
        raise InvalidImage(f"{what} has the invalid digest {digest!r}", hint="sha256 and sha512 are known")
    if not isinstance(media_type, str) or type(size) is not int or not 0 <= size < _MAX_SIZE:
        raise InvalidImage(f"{what} describes {digest} without a valid media type and size")
    platform, annotations = value.get("platform"), value.get("annotations")
    artifact_type = value.get("artifactType")
    return Descriptor(
        media_type=media_type,
        digest=digest,
        size=size,
        platform=Platform.from_json(platform) if isinstance(platform, dict) else None,
        annotations=_texts(annotations) if isinstance(annotations, dict) else {},
        artifact_type=artifact_type if isinstance(artifact_type, str) else "",
    )


def _texts(annotations: Mapping[str, Any]) -> dict[str, str]:
    """Those that are what the specification demands: text."""
    return {key: value for key, value in annotations.items() if isinstance(value, str)}
