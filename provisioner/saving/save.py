"""Save images as an OCI image layout, in an archive or a directory, or as a docker archive.

Both are image-spec image-layout.md and docker's image/spec/v1.2.md as skopeo, podman and docker read
them. A layer that several images share is written once.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from typing import Literal, Protocol

from launcher.data import Data, replace
from provisioner.errors import ImageNotFound
from provisioner.image import Image
from provisioner.layer.stream import CHUNK
from provisioner.layer.tar import Entry
from provisioner.layer.write_tar import TarWriter
from provisioner.manifest import parse_config, sha256
from provisioner.reference import ImageReference
from provisioner.saving.layer_archive import LayerArchive, archive_layer, restore_layer
from provisioner.sources.oci import INDEX, MARKER, TAG
from provisioner.sources.spool import Section
from provisioner.sources.synthetic import CONFIG_TYPE, MANIFEST_TYPE, descriptor, manifest_of
from provisioner.store.ingest import Ingest
from provisioner.store.store import Store

Format = Literal["oci", "docker"]

_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
_INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
_IMAGE_NAME = "io.containerd.image.name"


class Output(Protocol):
    """Where the files of the format go."""

    def add(self, name: str, content: bytes) -> None: ...

    def add_file(self, name: str, fd: int, size: int) -> None:
        """`fd` stays the caller's, and open."""

    def finish(self) -> None: ...


class Saved(Data, kw_only=True):
    """One image, of which all but its layers has been rewritten."""

    image: Image
    config: bytes
    layers: tuple[LayerArchive, ...]


def save(store: Store, images: Sequence[Image], output: Output, form: Format, *, compress: bool) -> None:
    """Write these images. Raises ImageNotFound when one goes meanwhile, StoreError, OSError."""
    with Ingest(store.paths) as ingest, contextlib.ExitStack() as stack:
        ingest.claim({key for image in images for key in image.layers}, [])
        archives: dict[str, LayerArchive] = {}
        saved = [_archived(store, ingest, image, archives, stack, compress=compress) for image in images]
        written: set[str] = set()
        if form == "oci":
            _write_layout(saved, output, written)
        else:
            _write_docker(saved, output, written)
        output.finish()


def _archived(
    store: Store,
    ingest: Ingest,
    image: Image,
    archives: dict[str, LayerArchive],
    stack: contextlib.ExitStack,
    *,
    compress: bool,
) -> Saved:
    config = store.read_blob(image.config_digest)
    parsed = parse_config(config, len(image.layers), f"configuration of image {image.reference}")
    for key, diff_id in zip(image.layers, parsed.diff_ids, strict=True):
        if key not in archives:
            archives[key] = _archive(store, key, diff_id, ingest.path, compress=compress)
            stack.callback(os.close, archives[key].fd)
    layers = tuple(archives[key] for key in image.layers)
    return Saved(image=image, config=_config(config, layers), layers=layers)


def _archive(store: Store, key: str, diff_id: str, scratch: str, *, compress: bool) -> LayerArchive:
    if not store.has_layer(key):
        raise ImageNotFound(f"layer {key} is not in the store", hint="pull the image again")
    directory, skeleton = store.paths.diff(key), store.paths.skeleton(key)
    if not os.path.exists(skeleton):
        return archive_layer(directory, scratch, compress=compress)
    return restore_layer(directory, skeleton, diff_id, scratch, compress=compress)


def _config(content: bytes, layers: Sequence[LayerArchive]) -> bytes:
    """The very same, unless a layer could not be made again."""
    value = json.loads(content)
    diff_ids = [layer.diff_id for layer in layers]
    if value["rootfs"].get("diff_ids") == diff_ids:
        return content
    value["rootfs"]["diff_ids"] = diff_ids
    return json.dumps(value, separators=(",", ":")).encode()


def _write_layout(saved: Sequence[Saved], output: Output, written: set[str]) -> None:
    manifests = []
    for one in saved:
        manifest = manifest_of(
            descriptor(CONFIG_TYPE, sha256(one.config), len(one.config)),
            [descriptor(layer.media_type, layer.digest, layer.size) for layer in one.layers],
        )
        for layer in one.layers:
            if _first(layer.digest, written):
                output.add_file(_blob(layer.digest), layer.fd, layer.size)
        for content in (one.config, manifest):
            if _first(sha256(content), written):
                output.add(_blob(sha256(content)), content)
        os_name, architecture, *variant = one.image.platform.split("/")
        platform = {"os": os_name, "architecture": architecture} | (
            {"variant": variant[0]} if variant else {}
        )
        manifests.append(
            descriptor(MANIFEST_TYPE, sha256(manifest), len(manifest))
            | {"platform": platform, "annotations": _annotations(one.image)}
        )
    index = {"schemaVersion": 2, "mediaType": _INDEX_TYPE, "manifests": manifests}
    output.add(INDEX, json.dumps(index, separators=(",", ":")).encode())
    output.add(MARKER, _LAYOUT)


def _annotations(image: Image) -> dict[str, str]:
    name = _name(image)
    return {TAG: name, _IMAGE_NAME: name} if name else {}


def _write_docker(saved: Sequence[Saved], output: Output, written: set[str]) -> None:
    listed = []
    for one in saved:
        for layer in one.layers:
            if _first(layer.digest, written):
                output.add_file(_tar(layer), layer.fd, layer.size)
        config = f"{sha256(one.config).partition(':')[2]}.json"
        if _first(config, written):
            output.add(config, one.config)
        name = _name(one.image)
        listed.append(
            {
                "Config": config,
                "RepoTags": [name] if name else None,
                "Layers": [_tar(layer) for layer in one.layers],
            }
        )
    output.add("manifest.json", json.dumps(listed, separators=(",", ":")).encode())


def _name(image: Image) -> str | None:
    """A registry's NAME:TAG; a digest would be another one by now."""
    reference = ImageReference.parse(image.reference)
    if reference.transport != "docker" or reference.tag is None:
        return None
    return str(replace(reference, digest=None))


def _first(digest: str, written: set[str]) -> bool:
    if digest in written:
        return False
    written.add(digest)
    return True


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _tar(layer: LayerArchive) -> str:
    return f"{layer.digest.partition(':')[2]}.tar"


def chunks_of(fd: int, size: int) -> Iterator[bytes]:
    """The content of an open file, from its start."""
    section = Section(fd, 0, size)
    while chunk := section.read(CHUNK):
        yield chunk


class ArchiveOutput:
    """A tar archive; always the same for the same images."""

    def __init__(self, writer: TarWriter) -> None:
        self._writer = writer

    def add(self, name: str, content: bytes) -> None:
        self._writer.add(_member(name, len(content)), [content])

    def add_file(self, name: str, fd: int, size: int) -> None:
        self._writer.add(_member(name, size), chunks_of(fd, size))

    def finish(self) -> None:
        self._writer.finish()


class DirectoryOutput:
    """A directory, new or empty."""

    def __init__(self, path: str) -> None:
        self._path = path

    def add(self, name: str, content: bytes) -> None:
        self._write(name, iter([content]))

    def add_file(self, name: str, fd: int, size: int) -> None:
        self._write(name, chunks_of(fd, size))

    def finish(self) -> None:
        """All is there."""

    def _write(self, name: str, chunks: Iterator[bytes]) -> None:
        path = f"{self._path}/{name}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "xb") as file:
            for chunk in chunks:
                file.write(chunk)


def _member(name: str, size: int) -> Entry:
    return Entry(
        kind="file",
        unsafe_name=name.encode(),
        unsafe_link=b"",
        mode=0o644,
        uid=0,
        gid=0,
        size=size,
        mtime_ns=0,
        device=(0, 0),
        xattrs={},
    )
