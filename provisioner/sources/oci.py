"""oci:DIR[:TAG] and oci-archive:FILE[:TAG]: an image layout on this host; image-spec image-layout.md.

DIR/oci-layout            {"imageLayoutVersion": "1.0.0"}
DIR/index.json            an index; a tag is an annotation of one of its descriptors
DIR/blobs/sha256/HEX      everything else
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
from collections.abc import Iterator
from typing import BinaryIO, Protocol

from provisioner.errors import ImageNotFound, InvalidImage
from provisioner.layer.stream import Readable
from provisioner.manifest import MAX_DOCUMENT, Descriptor, Index, parse_document, verify
from provisioner.reference import DEFAULT_TAG, ImageReference
from provisioner.sources.archive import Archive
from provisioner.sources.source import Document

MARKER = "oci-layout"
INDEX = "index.json"
TAG = "org.opencontainers.image.ref.name"


class LayoutFiles(Protocol):
    """The files of a layout, wherever they are."""

    what: str  # in messages

    def __contains__(self, name: str) -> bool: ...

    def read(self, name: str, limit: int) -> bytes:
        """All of a file; raises ImageNotFound, and InvalidImage where it is larger."""

    def stream(self, name: str) -> Readable:
        """Its content; an object with `close` is closed when it is read."""

    def close(self) -> None: ...


class OciLayout:
    """The Source of one reference into a layout; or of one of its descriptors, if that is given."""

    def __init__(
        self, reference: ImageReference, files: LayoutFiles, descriptor: Descriptor | None = None
    ) -> None:
        """`files` is closed by `close`, unless a descriptor is given: then others use it too."""
        self._reference = reference
        self._files = files
        self._descriptor = descriptor

    @classmethod
    def of_archive(cls, reference: ImageReference, scratch: str) -> OciLayout:
        """`scratch`: a directory for what a compressed archive unpacks to."""
        return cls(reference, Archive.open(reference.repository, scratch))

    def root(self) -> Document:
        return self.document(self._descriptor or self._choose(index_of(self._files)))

    def document(self, descriptor: Descriptor) -> Document:
        return Document(content=self.small_blob(descriptor), media_type=descriptor.media_type)

    def small_blob(self, descriptor: Descriptor) -> bytes:
        content = self._files.read(_blob_path(descriptor), MAX_DOCUMENT)
        verify(content, descriptor.digest, f"blob {descriptor.digest} of {self._reference}")
        return content

    @contextlib.contextmanager
    def blob(self, descriptor: Descriptor) -> Iterator[Readable]:
        stream = self._files.stream(_blob_path(descriptor))
        try:
            yield stream
        finally:
            if isinstance(stream, io.IOBase):
                stream.close()

    def close(self) -> None:
        if self._descriptor is None:
            self._files.close()

    def _choose(self, index: Index) -> Descriptor:
        tags = {d.annotations[TAG]: d for d in index.manifests if TAG in d.annotations}
        wanted = self._reference.tag
        if wanted is None and len(index.manifests) == 1:
            return index.manifests[0]
        chosen = tags.get(wanted or DEFAULT_TAG) or tags.get(_familiar(wanted))
        if chosen is None:
            raise ImageNotFound(
                f"no image {wanted or DEFAULT_TAG!r} in the OCI image layout {self._files.what}",
                hint=f"its tags are: {', '.join(sorted(map(str, tags))) or 'none'}",
            )
        return chosen


def index_of(files: LayoutFiles) -> Index:
    """What index.json says. Raises ImageNotFound, InvalidImage."""
    if MARKER not in files:
        raise ImageNotFound(
            f"no OCI image layout in {files.what}: oci-layout is missing",
            hint="write oci:DIR[:TAG], with the directory that holds index.json",
        )
    index = parse_document(files.read(INDEX, MAX_DOCUMENT), "", f"{INDEX} of {files.what}")
    if not isinstance(index, Index):
        raise InvalidImage(f"{INDEX} of {files.what} is not an index")
    return index


class Directory:
    """The files of a layout that is a directory."""

    def __init__(self, path: str) -> None:
        self.what = path

    def __contains__(self, name: str) -> bool:
        return os.path.isfile(f"{self.what}/{name}")

    def read(self, name: str, limit: int) -> bytes:
        with self.stream(name) as file:
            content = file.read(limit + 1)
        if len(content) > limit:
            raise InvalidImage(f"{self.what}/{name} is larger than {limit} bytes")
        return content

    def stream(self, name: str) -> BinaryIO:
        path = f"{self.what}/{name}"
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

    def close(self) -> None:
        """Nothing is kept open."""


def _familiar(tag: str | None) -> str:
    """A complete name as Docker's tools shorten it, which some write as the tag."""
    return ImageReference.parse(tag).familiar if tag and "/" in tag else ""


def _blob_path(descriptor: Descriptor) -> str:
    return f"blobs/{descriptor.digest.replace(':', '/')}"
