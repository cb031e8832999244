"""Store: images by name, their layers by chain id, and who uses them.

Everything appears by rename(2), whole or not at all. Using takes the store's lock shared, deleting
exclusive, each for moments: what is used is written down (refs, leases, claims) before the lock is
given back, and the deleter reads all of that.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
from collections.abc import Iterator, Sequence
from typing import Any

from launcher.remove_tree import remove_tree
from provisioner.errors import ImageInUse, ImageNotFound, InvalidReference
from provisioner.image import Image
from provisioner.reference import ImageReference
from provisioner.store import files, locks
from provisioner.store.paths import StorePaths

_ASKED = "asked"  # field of an image's record: how its name led to it
_SHORTEST_PREFIX = 4  # hexadecimal digits of a digest that stand for it


class Store:
    """Opening it touches nothing; the first pull makes it."""

    def __init__(self, root: str) -> None:
        self.paths = StorePaths(root)

    # Images.

    def find(self, reference: ImageReference) -> Image | None:
        """What the name stands for here: one small read."""
        content = files.content(self.paths.ref(reference))
        return _image_of(content) if content else None

    def root_of(self, reference: ImageReference, platform: str) -> str | None:
        """The `root` of the image of this name, if it was asked for this platform."""
        asked = (files.read_json(self.paths.ref(reference)) or {}).get(_ASKED) or {}
        return asked.get("root") if asked.get("platform") == platform else None

    def touch(self, image: Image) -> None:
        """It is used now."""
        with contextlib.suppress(FileNotFoundError):  # its name may be another's by now
            os.utime(_path_of(self.paths, image.reference))

    def images(self) -> list[Image]:
        """All of them, sorted by name."""
        records = (files.read_json(path) for path in _records(self.paths.refs))
        return sorted((Image.from_json(r) for r in records if r), key=lambda image: image.reference)

    def publish(self, image: Image, *, root: str | None = None, platform: str | None = None) -> None:
        """Let the name stand for this image, whose layers and blobs the caller has claimed.

        `root` is the digest of what the name stands for at its source, which led to this image when it
        was asked for this `platform`.
        """
        path = self.paths.ref(ImageReference.parse(image.reference))
        record = image.to_json() | ({_ASKED: {"root": root, "platform": platform}} if root else {})
        content = json.dumps(record, separators=(",", ":")).encode()
        with locks.shared(self.paths.lock):
            files.write_atomically(path, content, staging=self.paths.ingest, durable=True)

    def remove(self, text: str) -> Image:
        """Forget a name, and delete what only it kept.

        `text` is a reference, or the start of a digest (of the manifest or the configuration) that
        only one name has. Raises ImageNotFound, ImageInUse, InvalidReference.
        """
        if not os.path.isdir(self.paths.root):
            raise _not_found(text)
        with locks.exclusive(self.paths.lock):
            image = self.select(text)
            self._refuse_if_used(image)
            path = self.paths.ref(ImageReference.parse(image.reference))
            os.unlink(path)
            files.remove_empty_parents(path, self.paths.refs)
            garbage = self._collect(interrupted=False)
        for leftover in garbage:
            remove_tree(leftover)
        return image

    def select(self, text: str) -> Image:
        """The image of this name or digest, as `remove` takes them."""
        matches = self._with_digest(text)
        if len(matches) > 1:
            raise _ambiguous(text, matches)
        if matches:
            return matches[0]
        image = None if text.startswith("sha256:") else self.find(ImageReference.parse(text))
        if image is None:
            raise _not_found(text)
        return image

    def by_digest(self, text: str, *, least: int = _SHORTEST_PREFIX) -> Image | None:
        """The image whose digest, of the manifest or the configuration, begins so, under whichever name.

        `least`: digits that it takes. Raises InvalidReference where several images begin so.
        """
        matches = self._with_digest(text, least)
        if len({image.digest for image in matches}) > 1:
            raise _ambiguous(text, matches)
        return matches[0] if matches else None

    def _with_digest(self, text: str, least: int = _SHORTEST_PREFIX) -> list[Image]:
        prefix = text.removeprefix("sha256:")
        if len(prefix) < least or prefix.strip("0123456789abcdef"):
            return []
        return [image for image in self.images() if _has_digest(image, prefix)]

    def _refuse_if_used(self, image: Image) -> None:
        others = (other for other in self.images() if other.reference != image.reference)
        if image.digest in {other.digest for other in others}:
            return  # only a name goes away
        for container, lease in self._leases():
            if lease.get("digest") == image.digest:
                raise ImageInUse(
                    f"image {image.reference} is in use by container {container}",
                    hint="remove the container first",
                )

    def used_at(self, image: Image) -> float:
        """When it was last pulled, or a container made of it: seconds since the epoch; 0.0: it is gone."""
        try:
            return os.stat(self.paths.ref(ImageReference.parse(image.reference))).st_mtime
        except FileNotFoundError:
            return 0.0

    def users(self) -> dict[str, list[str]]:
        """The containers that use images, by the digests of those."""
        users: dict[str, list[str]] = {}
        for container, lease in self._leases():
            users.setdefault(str(lease.get("digest")), []).append(container)
        return users

    def discard(self, images: Sequence[Image], *, spare_since: float) -> list[Image]:
        """Remove those that no container uses, and that were not used after `spare_since`; returns them.

        What only they kept goes too, and what interrupted pulls had.
        """
        if not os.path.isdir(self.paths.root):
            return []
        gone = []
        with locks.exclusive(self.paths.lock):
            users = self.users()
            for image in images:
                if image.digest not in users and 0.0 < self.used_at(image) <= spare_since:
                    path = self.paths.ref(ImageReference.parse(image.reference))
                    os.unlink(path)
                    files.remove_empty_parents(path, self.paths.refs)
                    gone.append(image)
            garbage = self._collect(interrupted=False)
        for leftover in garbage:
            remove_tree(leftover)
        return gone

    # Layers.

    def has_layer(self, key: str) -> bool:
        return os.path.isdir(self.paths.layer(key))

    def layer_size(self, key: str) -> int:
        """Bytes of its files."""
        record = files.read_json(self.paths.layer_record(key))
        return int(record["size"]) if record else 0

    def layer_skipped(self, key: str) -> list[str]:
        """What is missing in it, since it takes root to make; a sentence a reason."""
        record = files.read_json(self.paths.layer_record(key))
        return list(record.get("skipped", [])) if record else []

    def layers_size(self) -> int:
        """Bytes of the files of all layers."""
        return sum(map(self.layer_size, self.layers()))

    def layers(self) -> list[str]:
        """The keys of all."""
        return _digests(self.paths.layers)

    def read_blob(self, digest: str) -> bytes:
        """A manifest or configuration, verified. Raises ImageNotFound, DigestMismatch."""
        from provisioner.manifest import verify

        try:
            with open(self.paths.blob(digest), "rb") as file:
                content = file.read()
        except FileNotFoundError:
            raise ImageNotFound(f"no blob {digest} in the store", hint="pull the image again") from None
        verify(content, digest, f"blob {digest} in the store")
        return content

    # Leases.

    def lease(self, container: str, image: Image | None, others: Sequence[Image] = ()) -> None:
        """Keep the parts of the container's image, and of others, until `release`.

        Raises ImageNotFound when one is gone already.
        """
        own = _leased(image) if image else {}
        record = {**own, "others": [_leased(other) for other in others]} if others else own
        with locks.shared(self.paths.lock):
            for each in (image, *others) if image else others:
                self.touch(each)
                for key in each.layers:
                    if not self.has_layer(key):
                        raise ImageNotFound(
                            f"layer {key} of image {each.reference} is not in the store",
                            hint="pull the image again",
                        )
            # Deleters wait for the lock. A power cut ends the container too: its lease need not survive one.
            files.write_locked(self.paths.lease(container), json.dumps(record).encode())

    def lease_of(self, container: str) -> dict[str, Any] | None:
        """What the container runs on: reference, digest, config_digest and layers of its image."""
        lease = files.read_json(self.paths.lease(container))
        return lease if lease and "layers" in lease else None

    def release(self, container: str) -> None:
        """Idempotent."""
        path = self.paths.lease(container)
        try:
            os.unlink(path)
        except FileNotFoundError:
            return
        files.remove_empty_parents(path, self.paths.leases)

    def _leases(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for path in _records(self.paths.leases):
            if record := files.read_json(path):
                name = os.path.relpath(path, self.paths.leases).removesuffix(".json")
                for leased in (record, *record.get("others", ())):
                    if "layers" in leased:
                        yield name.replace("/", "."), leased

    # Garbage.

    def sweep(self, *, interrupted: bool = True) -> None:
        """Delete what no name, lease or pull uses, such as what killed pulls left.

        `interrupted`: keep the layers and partial blobs of pulls that ended before they were done, for a day.
        """
        if not os.path.isdir(self.paths.root):
            return
        with locks.exclusive(self.paths.lock):
            garbage = self._collect(interrupted=interrupted)
        for path in garbage:
            remove_tree(path)

    def _collect(self, *, interrupted: bool) -> list[str]:
        """Take unused layers and blobs out of the store; what is left to delete, at leisure."""
        from provisioner.store import ingest, partials

        locks.remove_unheld(self.paths.locks)
        partials.sweep(self.paths, everything=not interrupted)
        layers, blobs = self._used(list(ingest.claims(self.paths, interrupted=interrupted)))
        for digest in _digests(self.paths.blobs):
            if digest not in blobs:
                os.unlink(self.paths.blob(digest))
        for key in _digests(self.paths.layers):
            if key not in layers:
                os.makedirs(self.paths.ingest, exist_ok=True)
                os.rename(self.paths.layer(key), f"{self.paths.ingest}/{os.urandom(8).hex()}")
        return list(ingest.leftovers(self.paths, interrupted=interrupted))

    def _used(self, claims: Sequence[dict[str, list[str]]]) -> tuple[set[str], set[str]]:
        images, leases = self.images(), [lease for _, lease in self._leases()]
        layers = {key for image in images for key in image.layers}
        layers.update(key for record in (*leases, *claims) for key in record["layers"])
        blobs = {digest for image in images for digest in (image.digest, image.config_digest)}
        blobs.update(lease[key] for lease in leases for key in ("digest", "config_digest") if key in lease)
        blobs.update(digest for claim in claims for digest in claim["blobs"])
        return layers, blobs


def _leased(image: Image) -> dict[str, Any]:
    return {
        "reference": image.reference,
        "digest": image.digest,
        "config_digest": image.config_digest,
        "layers": list(image.layers),
    }


def _ambiguous(text: str, matches: Sequence[Image]) -> InvalidReference:
    names = ", ".join(image.reference for image in matches)
    return InvalidReference(f"{text!r} stands for several images: {names}", hint="name one of them")


def _has_digest(image: Image, prefix: str) -> bool:
    return any(d.removeprefix("sha256:").startswith(prefix) for d in (image.digest, image.config_digest))


@functools.lru_cache(maxsize=64)  # launches of one image ask again and again, for this and the next
def _path_of(paths: StorePaths, canonical: str) -> str:
    return paths.ref(ImageReference.parse(canonical))


@functools.lru_cache(maxsize=64)
def _image_of(content: bytes) -> Image | None:
    record = files.record_in(content)
    return Image.from_json(record) if record else None


def _not_found(text: str) -> ImageNotFound:
    return ImageNotFound(f"no image {text!r} in the store", hint="`containerizer images` lists them")


def _records(top: str) -> Iterator[str]:
    """The JSON files below a directory."""
    for directory, _, names in os.walk(top):
        for name in names:
            if name.endswith(".json"):
                yield f"{directory}/{name}"


def _digests(top: str) -> list[str]:
    """The ALGORITHM/HEX below a directory, as ALGORITHM:HEX."""
    found = []
    for algorithm in os.listdir(top) if os.path.isdir(top) else ():
        found += [f"{algorithm}:{name}" for name in os.listdir(f"{top}/{algorithm}")]
    return found
