"""Source: where images come from. One per transport, opened for one reference."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from launcher.data import Data
from provisioner.errors import InvalidReference
from provisioner.layer.stream import Readable
from provisioner.manifest import Descriptor
from provisioner.reference import ImageReference

if TYPE_CHECKING:
    from provisioner.platforms import Platform
    from provisioner.registry.registries import Registries


class Document(Data, kw_only=True):
    """A manifest or an index, as served; its digest has been verified where one was promised."""

    content: bytes
    media_type: str  # what the source calls it; "" when it does not say


class Source(Protocol):
    """Gives the parts of an image. `blob` is called from several threads at once."""

    def root(self) -> Document:
        """What the reference names. Raises ImageNotFound, DigestMismatch, …"""

    def document(self, descriptor: Descriptor) -> Document:
        """A manifest or index of an index; size and digest are those of the descriptor."""

    def small_blob(self, descriptor: Descriptor) -> bytes:
        """A configuration, verified; at most manifest.MAX_DOCUMENT bytes."""

    def blob(self, descriptor: Descriptor) -> AbstractContextManager[Readable]:
        """A layer's stream, not verified: its reader does that."""

    def close(self) -> None:
        """Give back connections."""


@runtime_checkable
class Remote(Protocol):
    """What a Source has besides if it is reached over a network."""

    def digest(self) -> str | None:
        """Of `root`, by one request that fetches nothing; None if that cannot be told."""

    def interrupt(self) -> None:
        """Let all that waits for the network, in whatever thread, end soon."""

    def rest(self, descriptor: Descriptor, offset: int) -> AbstractContextManager[Readable]:
        """As `blob`, from this byte on."""

    def distrust(self, descriptor: Descriptor, why: str) -> bool:
        """The last stream of it from its first byte was wrong: whether to try again, elsewhere or anew."""


def open_source(
    reference: ImageReference,
    registries: Registries,
    scratch: str,
    note: Callable[[str], None],
    platform: Platform | None = None,
) -> Source:
    """The source for the reference's transport.

    `scratch` is a directory for what archives unpack to. `note` is told, for people, what is tried again.
    `platform` is for sources that have images of each under names of their own; None: this machine's.
    """
    # Here, because the registry's client costs 75 ms of imports that a local image does without.
    match reference.transport:
        case "docker":
            from provisioner.sources.docker import DockerRegistry

            return DockerRegistry(reference, registries, note)
        case "oci":
            from provisioner.sources.oci import Directory, OciLayout

            return OciLayout(reference, Directory(reference.repository))
        case "oci-archive":
            from provisioner.sources.oci import OciLayout

            return OciLayout.of_archive(reference, scratch)
        case "docker-archive":
            from provisioner.sources.docker_archive import open_reference

            return open_reference(reference, scratch)
        case "appc":
            from provisioner.sources import appc

            return appc.open_reference(reference, scratch, platform, registries.appc_prefix)
    raise InvalidReference(f"unknown transport {reference.transport!r} of image {reference}")
