"""Verify: whether the store still holds what was put into it.

Manifests and configurations hash to their names. Of a layer the archive is made again from its files and
its skeleton (layer.skeleton): it hashes to the layer's diff id, or something has changed; and what the
archive says of each file is compared with what is there. Where an archive cannot be made again, the digest
of the layer's tree was recorded when it was unpacked. A layer that an older version unpacked has neither:
the first verification records it, and later ones compare.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from launcher.data import Data, replace
from provisioner.errors import ProvisionerError
from provisioner.image import Image
from provisioner.layer.compare import Comparison
from provisioner.layer.skeleton import LayerChanged, rebuild
from provisioner.layer.tree_digest import tree_digest
from provisioner.manifest import parse_config
from provisioner.store import files
from provisioner.store.ingest import TREE
from provisioner.store.store import Store


class Damage(Data, kw_only=True):
    """Something that is not as it was."""

    images: tuple[str, ...]  # the references that it concerns
    what: str


class Verified(Data, kw_only=True):
    """What was found."""

    layers: int  # compared with what they were
    recorded: int  # layers of an older version, whose digest is known from now on
    damages: tuple[Damage, ...]


def verify(store: Store) -> Verified:
    """Read everything that images consist of. Raises OSError."""
    images = store.images()
    users: dict[str, list[str]] = {}
    below: dict[str, tuple[str, ...]] = {}  # a key stands for all the layers below it, too
    diff_ids: dict[str, str] = {}
    damages = []
    for image in images:
        for index, key in enumerate(image.layers):
            below[key] = image.layers[:index]
            users.setdefault(key, []).append(image.reference)
        damages += [
            Damage(images=(image.reference,), what=what) for what in _documents(store, image, diff_ids)
        ]
    recorded = 0
    for key, references in users.items():
        what, new = _layer(store, key, below[key], diff_ids.get(key))
        recorded += new
        if what:
            damages.append(Damage(images=tuple(references), what=what))
    if damages:
        there = {image.reference: image.digest for image in store.images()}
        damages = list(
            _of_images(damages, {i.reference for i in images if there.get(i.reference) == i.digest})
        )
    return Verified(layers=len(users) - recorded, recorded=recorded, damages=tuple(damages))


def _of_images(damages: Sequence[Damage], references: Collection[str]) -> Iterator[Damage]:
    """What concerns these images: of those that were removed meanwhile, nothing has to be there."""
    for damage in damages:
        if left := tuple(reference for reference in damage.images if reference in references):
            yield replace(damage, images=left)


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


def _layer(store: Store, key: str, below: Sequence[str], diff_id: str | None) -> tuple[str | None, bool]:
    """What is wrong with the layer, and whether its digest was recorded just now."""
    record = files.read_json(store.paths.layer_record(key))
    if record is None or not store.has_layer(key):
        return f"layer {key} is not there", False
    try:
        if diff_id is not None and os.path.exists(store.paths.skeleton(key)):
            lowers = [store.paths.diff(lower) for lower in reversed(below) if store.has_layer(lower)]
            _compare(store, key, lowers, diff_id, partial=bool(record.get("skipped")))
            return None, False
        return _tree(store, key, diff_id, record)
    except LayerChanged as error:
        return f"layer {key} has changed: {error}", False
    except (ProvisionerError, OSError) as error:
        return f"layer {key} cannot be read: {error}", False


def _compare(store: Store, key: str, lowers: Sequence[str], diff_id: str, *, partial: bool) -> None:
    """Raises LayerChanged."""
    digest = hashlib.new(diff_id.partition(":")[0])
    root_fd = os.open(store.paths.diff(key), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        comparison = Comparison(store.paths.diff(key), root_fd, lowers, partial=partial)
        rebuild(store.paths.skeleton(key), root_fd, digest.update, comparison.look)
        comparison.finish()
    finally:
        os.close(root_fd)
    if digest.hexdigest() != diff_id.partition(":")[2]:
        raise LayerChanged(f"its archive hashes to {digest.hexdigest()}, not to {diff_id}")


def _tree(store: Store, key: str, diff_id: str | None, record: dict[str, Any]) -> tuple[str | None, bool]:
    digest = tree_digest(store.paths.diff(key))
    expected = record.get(TREE)
    if digest in (expected, diff_id):
        return None, False
    if expected is not None:
        raise LayerChanged(f"its tree hashes to {digest}, not to {expected}")
    content = json.dumps(record | {TREE: digest}).encode()
    files.write_atomically(store.paths.layer_record(key), content, staging=store.paths.ingest, durable=True)
    return None, True
