"""Verify: whether the store still holds what was put into it.

Manifests and configurations hash to their names. A layer has the digest of its tree recorded:
that of the archive which `save` would make. Where the archive's first writer made the same bytes, as for all
that was committed or saved here, that is the layer's own digest; for others the first verification
records it, and later ones compare.
"""

from __future__ import annotations

import hashlib
import json

from launcher.data import Data
from provisioner.errors import ProvisionerError
from provisioner.image import Image
from provisioner.layer.read_layer import LayerReader
from provisioner.layer.write_tar import TarWriter
from provisioner.manifest import parse_config
from provisioner.store import files
from provisioner.store.store import Store

_TREE = "tree"  # in layer.json


class Damage(Data, kw_only=True):
    """Something that is not as it was."""

    images: tuple[str, ...]  # the references that it concerns
    what: str


class Verified(Data, kw_only=True):
    """What was found."""

    layers: int  # compared with a digest
    recorded: int  # layers whose digest is known from now on
    damages: tuple[Damage, ...]


def verify(store: Store) -> Verified:
    """Read everything that images consist of. Raises OSError."""
    images = store.images()
    users: dict[str, list[str]] = {}
    diff_ids: dict[str, str] = {}
    damages = []
    for image in images:
        for key in image.layers:
            users.setdefault(key, []).append(image.reference)
        damages += [
            Damage(images=(image.reference,), what=what) for what in _documents(store, image, diff_ids)
        ]
    recorded = 0
    for key, references in users.items():
        what, new = _layer(store, key, diff_ids.get(key))
        recorded += new
        if what:
            damages.append(Damage(images=tuple(references), what=what))
    return Verified(layers=len(users) - recorded, recorded=recorded, damages=tuple(damages))


def _documents(store: Store, image: Image, diff_ids: dict[str, str]) -> list[str]:
    """What is wrong with the manifest and the configuration; the diff ids of the layers go to `diff_ids`."""
    found = []
    for digest in (image.digest, image.config_digest):
        try:
            content = store.read_blob(digest)
            if digest == image.config_digest:
                config = parse_config(content, len(image.layers), f"configuration {digest}")
                diff_ids.update(zip(image.layers, config.diff_ids, strict=True))
        except ProvisionerError as error:
            found.append(error.message)
    return found


def _layer(store: Store, key: str, diff_id: str | None) -> tuple[str | None, bool]:
    """What is wrong with the layer, and whether its digest was recorded just now."""
    record = files.read_json(store.paths.layer_record(key))
    if record is None or not store.has_layer(key):
        return f"layer {key} is not there", False
    try:
        digest = tree_digest(store.paths.diff(key))
    except (ProvisionerError, OSError) as error:
        return f"layer {key} cannot be read: {error}", False
    expected = record.get(_TREE)
    if digest in (expected, diff_id):
        return None, False
    if expected is not None:
        return f"layer {key} has changed: its tree hashes to {digest}, not to {expected}", False
    content = json.dumps(record | {_TREE: digest}).encode()
    files.write_atomically(store.paths.layer_record(key), content, staging=store.paths.ingest, durable=True)
    return None, True


def tree_digest(directory: str) -> str:
    """That of the archive which the directory makes. Raises StoreError, OSError."""
    digest = hashlib.sha256()
    writer = TarWriter(digest.update)
    for entry, content in LayerReader(directory):
        writer.add(entry, content)
    writer.finish()
    return f"sha256:{digest.hexdigest()}"
