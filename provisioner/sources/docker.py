"""[docker://]HOST/NAME[:TAG][@DIGEST]: an image in a registry."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from provisioner.errors import DigestMismatch, InvalidImage
from provisioner.layer.stream import Readable
from provisioner.manifest import MAX_DOCUMENT, Descriptor, verify
from provisioner.reference import ImageReference
from provisioner.registry.client import RegistryClient
from provisioner.registry.registries import Registries
from provisioner.sources.source import Document


class DockerRegistry:
    """The Source of one reference into a registry."""

    def __init__(
        self, reference: ImageReference, registries: Registries, note: Callable[[str], None]
    ) -> None:
        self._reference = reference
        self._client = RegistryClient(reference, registries, note)

    @property
    def _wanted(self) -> str:
        wanted = self._reference.digest or self._reference.tag
        assert wanted is not None  # ImageReference.parse has filled one in
        return wanted

    def digest(self) -> str | None:
        """Of `root`, by one request that fetches nothing; None if the registry does not tell."""
        return self._client.digest(self._wanted, str(self._reference))

    def interrupt(self) -> None:
        """Let all that waits for the registry, in whatever thread, end soon."""
        self._client.interrupt()

    def root(self) -> Document:
        served = self._client.manifest(self._wanted, str(self._reference))
        return Document(content=served.content, media_type=served.media_type)

    def document(self, descriptor: Descriptor) -> Document:
        served = self._client.manifest(descriptor.digest, f"{self._reference} ({descriptor.digest})")
        return Document(content=served.content, media_type=descriptor.media_type)

    def small_blob(self, descriptor: Descriptor) -> bytes:
        if descriptor.size > MAX_DOCUMENT:
            raise InvalidImage(f"configuration of {self._reference} is larger than {MAX_DOCUMENT} bytes")
        while True:
            try:
                return self._small_blob(descriptor)
            except DigestMismatch as error:
                if not self.distrust(descriptor, error.message):
                    raise

    def _small_blob(self, descriptor: Descriptor) -> bytes:
        with self._client.blob(descriptor.digest, descriptor.size) as stream:
            content = b""
            while len(content) <= descriptor.size and (chunk := stream.read(MAX_DOCUMENT)):
                content += chunk
        if len(content) != descriptor.size:
            raise DigestMismatch(
                f"configuration {descriptor.digest} of {self._reference} has not the {descriptor.size} bytes"
                " that its manifest promises"
            )
        verify(content, descriptor.digest, f"configuration of {self._reference}")
        return content

    def blob(self, descriptor: Descriptor) -> AbstractContextManager[Readable]:
        return self.rest(descriptor, 0)

    def rest(self, descriptor: Descriptor, offset: int) -> AbstractContextManager[Readable]:
        return self._client.blob(descriptor.digest, descriptor.size, offset)

    def distrust(self, descriptor: Descriptor, why: str) -> bool:
        return self._client.distrust(descriptor.digest, why)

    def close(self) -> None:
        self._client.close()
