"""oci:DIR[:TAG]: an image layout on this host; image-spec image-layout.md.

DIR/oci-layout            {"imageLayoutVersion": "1.0.0"}
DIR/index.json            an index; a tag is an annotation of one of its descriptors
DIR/blobs/sha256/HEX      everything else
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from typing import BinaryIO

from provisioner.errors import ImageNotFound, InvalidImage
from provisioner.layer.stream import Readable
from provisioner.manifest import MAX_DOCUMENT, Descriptor, Index, parse_document, verify
from provisioner.reference import DEFAULT_TAG, ImageReference
from provisioner.sources.source import Document

_TAG = "org.opencontainers.image.ref.name"


class OciLayout:
    """The Source of one reference into a layout."""

    def __init__(self, reference: ImageReference) -> None:
        self._reference = reference
        self._directory = reference.repository

    def root(self) -> Document:
        if not os.path.isfile(f"{self._directory}/oci-layout"):
            raise ImageNotFound(
                f"no OCI image layout in {self._directory}: oci-layout is missing",
                hint="write oci:DIR[:TAG], with the directory that holds index.json",
            )
        index = parse_document(self._read("index.json"), "", f"index of {self._reference}")
        if not isinstance(index, Index):
            raise InvalidImage(f"index.json of {self._directory} is not an index")
        return self.document(self._choose(index))

    def document(self, descriptor: Descriptor) -> Document:
        return Document(content=self.small_blob(descriptor), media_type=descriptor.media_type)

    def small_blob(self, descriptor: Descriptor) -> bytes:
        content = self._read(_blob_path(descriptor))
        verify(content, descriptor.digest, f"blob {descriptor.digest} of {self._reference}")
        return content

    @contextlib.contextmanager
    def blob(self, descriptor: Descriptor) -> Iterator[Readable]:
        with self._open(_blob_path(descriptor)) as file:
            yield file

    def close(self) -> None:
        """Nothing is kept open."""

    def _choose(self, index: Index) -> Descriptor:
        tags = {d.annotations[_TAG]: d for d in index.manifests if _TAG in d.annotations}
        wanted = self._reference.tag
        if wanted is None and len(index.manifests) == 1:
            return index.manifests[0]
        chosen = tags.get(wanted or DEFAULT_TAG)
        if chosen is None:
            raise ImageNotFound(
                f"no image {wanted or DEFAULT_TAG!r} in the OCI image layout {self._directory}",
                hint=f"its tags are: {', '.join(sorted(map(str, tags))) or 'none'}",
            )
        return chosen

    def _read(self, name: str) -> bytes:
        with self._open(name) as file:
            content = file.read(MAX_DOCUMENT + 1)
        if len(content) > MAX_DOCUMENT:
            raise InvalidImage(f"{self._directory}/{name} is larger than {MAX_DOCUMENT} bytes")
        return content

    def _open(self, name: str) -> BinaryIO:
        path = f"{self._directory}/{name}"
        try:
            # O_NONBLOCK: a fifo under that name must not hang the pull.
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise ImageNotFound(f"cannot read {path}: {error.strerror}") from error
        file = os.fdopen(fd, "rb")
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            file.close()
            raise InvalidImage(f"{path} is not a regular file")
        return file


def _blob_path(descriptor: Descriptor) -> str:
    return f"blobs/{descriptor.digest.replace(':', '/')}"
