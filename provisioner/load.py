"""Load: all images of an archive into the store, under the names that the archive gives them.

An OCI image layout is preferred where the archive is both, as Docker's is since version 25: its
manifests keep the digests that the images have elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator

from launcher.data import Data, replace
from provisioner.errors import InvalidImage, InvalidReference
from provisioner.image import Image
from provisioner.layer.limits import Limits
from provisioner.manifest import INDEXES, MANIFESTS, Descriptor
from provisioner.platforms import Platform
from provisioner.progress import Progress
from provisioner.pull import pull
from provisioner.reference import ImageReference
from provisioner.resolve import resolve
from provisioner.sources import docker_archive, legacy_archive, oci
from provisioner.sources.archive import Archive
from provisioner.sources.source import Source
from provisioner.store.store import Store

_IMAGE_NAME = "io.containerd.image.name"
_LOCAL = "localhost"  # the registry of what has no name of its own, as with podman
_SHORT = 12  # hexadecimal digits that name an image which nobody has named


class Found(Data):
    """An image of the archive."""

    source: Source
    names: tuple[str, ...]  # canonical references


def load(
    store: Store,
    archive: Archive,
    *,
    name: str | None,
    platform: Platform | None,
    limits: Limits,
    progress: Progress,
) -> list[Image]:
    """Have them in the store; `name` is for an archive's only image, instead of its own names.

    Raises a ProvisionerError; the images before the one that failed stay.
    """
    found = list(images_of(archive))
    if not found:
        raise InvalidImage(f"the index of {archive.what} lists no images", hint="it may list other artifacts")
    if name is not None and len(found) != 1:
        raise InvalidReference(
            f"one name for the {len(found)} images in {archive.what}", hint="leave --tag out"
        )
    loaded: list[Image] = []
    for image in found:
        names = (_own(name),) if name else image.names
        loaded += _load(store, replace(image, names=names), platform, limits, progress)
    return loaded


def images_of(archive: Archive) -> Iterator[Found]:
    """Raises InvalidImage where the archive holds no images."""
    if oci.MARKER in archive:
        for descriptor in oci.index_of(archive).manifests:
            if descriptor.media_type in (*MANIFESTS, *INDEXES):
                yield Found(
                    oci.OciLayout(_placeholder(archive), archive, descriptor), tuple(_names(descriptor))
                )
    elif docker_archive.MANIFEST in archive:
        for saved in docker_archive.images_of(archive):
            yield Found(docker_archive.open_image(archive, saved), saved.names)
    elif legacy_archive.REPOSITORIES in archive:
        for image, names in legacy_archive.images_of(archive).items():
            yield Found(legacy_archive.open_image(archive, image), names)
    else:
        raise InvalidImage(
            f"{archive.what} holds no images: neither {oci.MARKER} nor {docker_archive.MANIFEST}",
            hint="`load` reads what `containerizer save`, `docker save` and podman write",
        )


def _load(
    store: Store, image: Found, platform: Platform | None, limits: Limits, progress: Progress
) -> Iterator[Image]:
    first = ImageReference.parse(image.names[0]) if image.names else None
    resolved = resolve(image.source, first or _unnamed(""), platform)
    first = first or _unnamed(resolved.digest)
    stored = pull(store, image.source, first, resolved, limits=limits, progress=progress)
    yield stored
    for other in image.names[1:]:
        further = replace(stored, reference=other)
        store.publish(further)
        yield further


def _names(descriptor: Descriptor) -> Iterator[str]:
    """By containerd's annotation, or by the layout's tag: a full name, or as podman reads it a bare one."""
    full, tag = descriptor.annotations.get(_IMAGE_NAME), descriptor.annotations.get(oci.TAG)
    for text in (full, tag if tag and {"/", ":"} & set(tag) else None, f"{_LOCAL}/{tag}" if tag else None):
        if isinstance(text, str):
            try:
                yield _own(text)
            except InvalidReference:  # any text is allowed there
                continue
            return


def _own(text: str) -> str:
    """The canonical name. One of another transport would stand for a file of the host."""
    reference = ImageReference.parse(text)
    if reference.transport != "docker" or reference.digest:
        raise InvalidReference(f"{text!r} cannot name a loaded image", hint="write [HOST/]NAME[:TAG]")
    return str(reference)


def _unnamed(digest: str) -> ImageReference:
    return ImageReference.parse(f"{_LOCAL}/loaded:{digest.partition(':')[2][:_SHORT] or 'image'}")


def _placeholder(archive: Archive) -> ImageReference:
    """What messages call an image of the archive."""
    return ImageReference(
        transport="oci-archive", registry="", repository=archive.what, tag=None, digest=None
    )
