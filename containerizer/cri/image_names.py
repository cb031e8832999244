"""Images in the words of the CRI: one for each id, with the tags and digests that it goes by here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from containerizer.cri.proto import common_pb2 as common
from containerizer.cri.proto import images_pb2 as messages
from launcher.data import Data
from launcher.errors import InvalidRequest
from provisioner.image import Image
from provisioner.reference import ImageReference

_ID = re.compile(r"(sha256:)?[0-9a-f]{64}", re.ASCII)

Digest = Callable[[Image], str]  # of what the name stands for at its source: of an index, where it is one


class NamedImage(Data, kw_only=True):
    """One image, by whatever names it is in the store."""

    id: str  # "sha256:…" of its configuration
    images: tuple[Image, ...]  # one a name
    tags: tuple[str, ...]  # HOST/NAME:TAG; an image that was pulled by its digest has none
    digests: tuple[str, ...]  # HOST/NAME@DIGEST

    @property
    def any(self) -> Image:
        return self.images[0]


def by_id(images: Iterable[Image], digest: Digest) -> list[NamedImage]:
    """In the order of their first names."""
    found: dict[str, list[Image]] = {}
    for image in images:
        found.setdefault(image.config_digest, []).append(image)
    return [_named(id_, same, digest) for id_, same in found.items()]


def find(known: Sequence[NamedImage], text: str) -> NamedImage | None:
    """By an id, a tag, a digest, or a name as people write it."""
    if _ID.fullmatch(text):
        id_ = f"sha256:{text.removeprefix('sha256:')}"
        return next((each for each in known if each.id == id_), None)
    try:
        reference = ImageReference.parse(text)
    except InvalidRequest:
        return None
    whole = str(reference)
    digest = f"{_repository(reference)}@{reference.digest}"
    for each in known:
        if any(image.reference == whole for image in each.images) or digest in each.digests:
            return each
    return None


def message(image: NamedImage) -> messages.Image:
    """As ListImages and ImageStatus tell it."""
    told = messages.Image(id=image.id, repo_tags=image.tags, repo_digests=image.digests, size=image.any.size)
    user = str(image.any.config.get("User") or "").partition(":")[0]
    if user.isascii() and user.isdecimal():
        told.uid.CopyFrom(common.Int64Value(value=int(user)))
    elif user:
        told.username = user
    else:
        told.uid.CopyFrom(common.Int64Value(value=0))
    return told


def _named(id_: str, images: Sequence[Image], digest: Digest) -> NamedImage:
    tags, digests = [], []
    for image in images:
        reference = ImageReference.parse(image.reference)
        if reference.transport != "docker":  # of a file: it has no place in a registry
            tags += [image.reference]
            continue
        if reference.tag and not reference.digest:
            tags.append(f"{_repository(reference)}:{reference.tag}")
        digests.append(f"{_repository(reference)}@{reference.digest or digest(image)}")
    return NamedImage(
        id=id_,
        images=tuple(images),
        tags=tuple(dict.fromkeys(tags)),
        digests=tuple(dict.fromkeys(digests)),
    )


def _repository(reference: ImageReference) -> str:
    return f"{reference.registry}/{reference.repository}" if reference.registry else reference.repository
