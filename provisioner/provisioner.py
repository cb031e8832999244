"""Provisioner: images by name into the store, and root filesystems of them as data.

A cached image costs one small read: everything that downloads, verifies or unpacks is imported by
the first pull that needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from launcher.data import replace
from provisioner.backends import choose
from provisioner.errors import ImageNotFound, StoreError, reason
from provisioner.image import Image, ImageUsage, Rootfs
from provisioner.progress import Progress, note_of, silent
from provisioner.reference import ImageReference, is_bare_digest, is_short, split_name
from provisioner.registry import conf_files
from provisioner.registry.options import RegistryOptions
from provisioner.store.store import Store

if TYPE_CHECKING:
    from provisioner.layer.limits import Limits
    from provisioner.registry.registries import Registries
    from provisioner.saving.changes import Change
    from provisioner.saving.commit import Changes
    from provisioner.store.prune import Criteria, Pruned
    from provisioner.store.verify import Verified

Policy = Literal["always", "missing", "never"]

# Of a digest that stands for its image: as `images` shows them, where a repository may have such a name.
_FEWEST_DIGITS: dict[Policy, int] = {"missing": 12, "never": 4}


class Provisioner:
    """All images of one root directory. Safe to use from several processes and threads at once.

    `insecure_registries` are HOST[:PORT] that may do without TLS, as loopback ones always may, or
    without a trusted certificate; `registries` has all that can be said of them.
    `limits` bound what one image may take on disk; None: the defaults.
    `backend` makes the root filesystems (backends.choose.NAMES); None: the best that works here.
    `after_pull`: which images go when a pull has brought another; None: none do.
    """

    def __init__(
        self,
        root: str,
        *,
        insecure_registries: Sequence[str] = (),
        registries: RegistryOptions | None = None,
        limits: Limits | None = None,
        backend: str | None = None,
        after_pull: Criteria | None = None,
    ) -> None:
        self._store = Store(f"{root}/store")
        self._backend = choose.make(backend, root)
        options = registries or RegistryOptions()
        self._options = replace(options, insecure=(*options.insecure, *insecure_registries))
        self._known: Registries | None = None  # what one pull learns for the next
        self._limits = limits
        self._after_pull = after_pull

    def pull(
        self,
        reference: str,
        *,
        policy: Policy = "always",
        platform: str | None = None,
        progress: Progress | None = None,
    ) -> Image:
        """Have the image in the store: "always" ask its source, only if "missing", or "never".

        `platform` None is this machine's, and whatever the store has under the name.
        Raises a ProvisionerError; nothing half-pulled is ever in the store.
        """
        if image := self.present(reference, policy=policy, platform=platform):
            return image
        if policy == "never":
            raise ImageNotFound(
                f"no image {reference!r} in the store" + (f" for {platform}" if platform else ""),
                hint="pull it first, or allow pulling (--pull missing)",
            )
        name = self._named(reference)
        return self._fetch(name, ImageReference.parse(name), platform, progress or silent)

    def present(self, reference: str, *, policy: Policy, platform: str | None = None) -> Image | None:
        """The image, if `pull` would return it without asking anybody. Raises InvalidReference.

        `reference` may be the beginning of its digest as well.
        """
        if policy == "always":
            return None
        if is_bare_digest(reference):  # which is no reference
            image = self._store.by_digest(reference)
            return image if image is not None and _is_for(image, platform) else None
        name = self._named(reference)
        image = self._store.find(ImageReference.parse(name))
        if image is None and name != reference:
            image = self._store.find(ImageReference.parse(reference))
        if image is None:
            image = self._store.by_digest(reference, least=_FEWEST_DIGITS[policy])
        return image if image is not None and _is_for(image, platform) else None

    def load(
        self,
        archive: str | int,
        *,
        name: str | None = None,
        platform: str | None = None,
        progress: Progress | None = None,
    ) -> list[Image]:
        """Have all images of an archive in the store: a file's path, or an open descriptor, which stays open.

        `name` instead of the archive's own, where it holds one image. Raises a ProvisionerError.
        """
        from provisioner.images import load

        return load(self._store, archive, name, platform, self._limits, progress or silent)

    def save(
        self,
        references: Sequence[str],
        target: str | int,
        *,
        form: Literal["oci", "docker", "oci-dir"] = "oci",
        compress: bool = False,
    ) -> list[Image]:
        """Write images to a file, which appears whole or not at all; an open descriptor; or a directory.

        Configurations and uncompressed layers are the pulled ones, byte by byte. Raises a ProvisionerError.
        """
        from provisioner.images import save

        return save(self._store, list(map(self._stored, references)), target, form, compress=compress)

    def images(self) -> list[Image]:
        """All images in the store, sorted by name."""
        return self._store.images()

    def digest(self, image: Image) -> str:
        """Of what the image's name stands for at its source: of an index, where that led to the image."""
        root = self._store.root_of(ImageReference.parse(image.reference), image.platform)
        return root or image.digest

    def layers(self) -> list[tuple[str, int, str]]:
        """All layers in the store: what each is called, the bytes of its files, and where they are."""
        return [
            (key, self._store.layer_size(key), self._store.paths.diff(key)) for key in self._store.layers()
        ]

    def usage(self) -> list[ImageUsage]:
        """All images in the store, with what each takes and who uses it."""
        from provisioner.images import usage

        return usage(self._store)

    def prune(self, criteria: Criteria) -> Pruned:
        """Free the space of images that no container uses. Raises InvalidReference, StoreError."""
        from provisioner.images import prune

        return prune(self._store, self._named_in(criteria))

    def verify(self) -> Verified:
        """Read everything in the store, and say what is no longer as it was. Raises StoreError."""
        from provisioner.images import verify

        return verify(self._store)

    def remove(self, reference: str) -> Image:
        """Remove an image by name or by a digest's start that only it has; layers of no other go too.

        Raises ImageNotFound, InvalidReference (ambiguous), ImageInUse (names the container).
        """
        return self._store.remove(self._stored(reference))

    def skipped(self, image: Image) -> list[str]:
        """What is missing in the image's layers, since it takes root to make; a sentence a reason."""
        return [sentence for key in image.layers for sentence in self._store.layer_skipped(key)]

    def provision(self, image: Image, container: str, directory: str) -> Rootfs:
        """Prepare a root filesystem for the container in its own directory; nothing is mounted.

        The image's layers are kept until `destroy`, which also cleans up after a failure.
        Raises ImageNotFound when the image has been removed, StoreError.
        """
        try:
            self._store.lease(container, image)
            return self._backend.provision(self._lowers(image), directory)
        except OSError as error:
            raise StoreError(
                f"cannot provision container {container}: {reason(error)}",
                hint=f"look at the space, inodes and permissions of {directory} and {self._store.paths.root}",
            ) from error

    def destroy(self, container: str, directory: str) -> None:
        """Remove what `provision` made. Idempotent; unknown containers are fine. Raises StoreError."""
        try:
            choose.destroy(directory)
            self._store.release(container)
        except OSError as error:
            raise StoreError(
                f"cannot remove the root filesystem of container {container}: {reason(error)}",
                hint="a process may still have it mounted: see /proc/*/mountinfo",
            ) from error

    def describe(self, image: Image, directory: str) -> Rootfs:
        """What `provision` would return, touching nothing."""
        return self._backend.describe(self._lowers(image), directory)

    def commit(self, container: str, directory: str, name: str, changes: Changes | None = None) -> Image:
        """Make an image of what the container has written, in its own directory, on top of its image.

        The container should stand still meanwhile. Raises ImageNotFound, InvalidReference,
        InvalidRequest (changes), StoreError.
        """
        from provisioner.images import commit

        return commit(self._store, container, directory, name, changes, self._limits)

    def import_archive(
        self,
        archive: str | int,
        name: str,
        changes: Changes | None = None,
        *,
        platform: str | None = None,
    ) -> Image:
        """Make an image of the files in a tar archive: a path, or an open descriptor, which stays open.

        `platform` None is this machine's. Raises ImageNotFound, InvalidReference, InvalidRequest (changes),
        InvalidImage, StoreError.
        """
        from provisioner.images import import_archive

        return import_archive(self._store, archive, name, changes, platform, self._limits)

    def changes(self, container: str, directory: str) -> list[Change]:
        """What the container, in its own directory, has changed of its image.

        Raises ImageNotFound, UnsupportedImage, StoreError.
        """
        from provisioner.images import changes

        return changes(self._store, container, directory)

    def writable_size(self, directory: str) -> int:
        """Bytes on disk of what the container has written."""
        from provisioner.images import writable_size

        return writable_size(directory)

    def keep(self, container: str, image: Image | None, others: Sequence[Image]) -> None:
        """Keep the layers of further images too, as `provision` does for its own, or for none.

        Raises ImageNotFound, StoreError.
        """
        try:
            self._store.lease(container, image, others)
        except OSError as error:
            raise StoreError(f"cannot keep the images of container {container}: {reason(error)}") from error

    def layers_of(self, image: Image) -> list[str]:
        """The directories of its layers, bottom first. To be kept by whoever uses them."""
        return self._lowers(image)

    def _lowers(self, image: Image) -> list[str]:
        return [self._store.paths.diff(key) for key in image.layers]

    def _fetch(self, text: str, reference: ImageReference, platform: str | None, progress: Progress) -> Image:
        from provisioner import unchanged
        from provisioner.layer.limits import Limits
        from provisioner.platforms import Platform
        from provisioner.pull import pull
        from provisioner.resolve import resolve
        from provisioner.sources.source import open_source

        wanted = Platform.parse(platform) if platform else Platform.host()
        registries = self._registries()
        if reference.transport == "docker":
            registries.settings.check_short_name(text)
        source = open_source(reference, registries, self._store.paths.ingest, note_of(progress), wanted)
        try:
            image = unchanged.find(self._store, source, reference, wanted)
            if image is None:
                resolved = resolve(source, reference, wanted)
                limits = self._limits or Limits()
                image = pull(self._store, source, reference, resolved, limits=limits, progress=progress)
                self._make_room(image, note_of(progress))
            return image
        finally:
            source.close()

    def _make_room(self, pulled: Image, note: Callable[[str], None]) -> None:
        if self._after_pull is not None:
            from provisioner.images import make_room

            make_room(self._store, self._named_in(self._after_pull), pulled, note)

    def _named(self, text: str) -> str:
        """The name that a short one stands for, if registries.conf says so."""
        if not is_short(text):
            return text
        if not conf_files.mention(split_name(text)[0], self._options.registries_conf):
            return text
        from provisioner.registry.registries_conf import RegistriesConf

        return RegistriesConf.load(self._options.registries_conf).short_names.complete(text)

    def _named_in(self, criteria: Criteria) -> Criteria:
        return replace(criteria, excluded=tuple(map(self._named, criteria.excluded)))

    def _stored(self, text: str) -> str:
        """The name under which the store has it; or the text, which is a digest, or of no image."""
        if is_bare_digest(text):
            return text
        name = self._named(text)
        return name if name != text and self._store.find(ImageReference.parse(name)) else text

    def _registries(self) -> Registries:
        if self._known is None:
            from provisioner.registry.registries import Registries

            self._known = Registries(self._options)
        return self._known


def _is_for(image: Image, platform: str | None) -> bool:
    if platform is None:
        return True
    from provisioner.platforms import Platform

    return image.platform == str(Platform.parse(platform))
