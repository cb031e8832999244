"""Commit: what a container has written becomes a layer, on top of those of its image.

The new image goes through a pull like any other: its layer is unpacked from the archive that was just
written, and so is what others will make of it; those below are there already.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Mapping
from typing import Any

from launcher.data import Data
from provisioner.errors import ImageNotFound, InvalidImage, InvalidReference
from provisioner.image import Image
from provisioner.layer.limits import Limits
from provisioner.layer.stream import Readable
from provisioner.manifest import Manifest, parse_config, parse_document
from provisioner.progress import silent
from provisioner.pull import pull
from provisioner.reference import ImageReference
from provisioner.resolve import resolve
from provisioner.saving import instructions
from provisioner.saving.layer_archive import LayerArchive, archive_layer
from provisioner.sources.spool import Section
from provisioner.sources.synthetic import LayerBlob, SyntheticImage
from provisioner.store.ingest import Ingest
from provisioner.store.store import Store


class Changes(Data, kw_only=True):
    """What the new image has besides the container's files."""

    instructions: tuple[str, ...] = ()  # of a Dockerfile: provisioner.saving.instructions
    author: str | None = None
    message: str | None = None
    command: tuple[str, ...] = ()  # that the container ran, for the history


class Base(Data, kw_only=True):
    """The image below, as the container's lease has it."""

    reference: str
    digest: str
    config_digest: str
    layers: tuple[str, ...]


def commit(
    store: Store, container: str, upper: str, name: str, changes: Changes, limits: Limits | None
) -> Image:
    """Make an image of the container's writable layer, the directory `upper`, and name it.

    Raises ImageNotFound, InvalidReference, InvalidRequest (changes), StoreError, OSError.
    """
    reference = new_reference(name)
    base = base_of(store, container)
    with Ingest(store.paths) as ingest, contextlib.ExitStack() as stack:
        ingest.claim(base.layers, [base.digest, base.config_digest])
        value = json.loads(store.read_blob(base.config_digest))
        value["config"] = instructions.apply(value.get("config") or {}, changes.instructions)
        layer = archive_layer(upper, ingest.path, compress=False)
        stack.callback(os.close, layer.fd)
        config = json.dumps(_config(value, layer, changes), separators=(",", ":")).encode()
        source = SyntheticImage(config, _layers(store, base, layer))
        parsed = parse_config(config, len(base.layers) + 1, f"configuration of {name}")
        platform = parsed.platform if parsed.platform.architecture else None
        resolved = resolve(source, reference, platform)
        return pull(store, source, reference, resolved, limits=limits or Limits(), progress=silent)


def new_reference(name: str) -> ImageReference:
    """Of an image that is made here. Raises InvalidReference."""
    reference = ImageReference.parse(name)
    if reference.transport != "docker" or reference.digest:
        raise InvalidReference(f"{name!r} cannot name a new image", hint="write [HOST/]NAME[:TAG]")
    return reference


def base_of(store: Store, container: str) -> Base:
    """Raises ImageNotFound for a container that is on no image."""
    lease = store.lease_of(container)
    if lease is None:
        raise ImageNotFound(f"container {container} has no image of its own", hint="commit the one around it")
    if "config_digest" not in lease:
        raise ImageNotFound(f"container {container} was made by an older version", hint="run it again")
    return Base(
        **{key: lease[key] for key in ("reference", "digest", "config_digest")}, layers=tuple(lease["layers"])
    )


def _layers(store: Store, base: Base, layer: LayerArchive) -> list[LayerBlob]:
    manifest = parse_document(store.read_blob(base.digest), "", f"manifest of {base.reference}")
    if not isinstance(manifest, Manifest):
        raise InvalidImage(f"the manifest of image {base.reference} is damaged", hint="pull it again")

    def absent() -> Readable:
        raise ImageNotFound(f"a layer of {base.reference} is not in the store", hint="pull the image again")

    below = [
        LayerBlob(digest=d.digest, size=d.size, media_type=d.media_type, stream=absent)
        for d in manifest.layers
    ]
    own = LayerBlob(digest=layer.digest, size=layer.size, stream=lambda: Section(layer.fd, 0, layer.size))
    return [*below, own]


def _config(value: dict[str, Any], layer: LayerArchive, changes: Changes) -> Mapping[str, Any]:
    """image-spec config.md."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    entry = {
        "created": now,
        "author": changes.author,
        "created_by": " ".join(changes.command) or None,
        "comment": changes.message,
    }
    value["created"] = now
    if changes.author:
        value["author"] = changes.author
    value["history"] = [*(value.get("history") or []), {key: text for key, text in entry.items() if text}]
    value["rootfs"]["diff_ids"] = [*(value["rootfs"].get("diff_ids") or []), layer.diff_id]
    return value
