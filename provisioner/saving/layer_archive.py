"""The archive of a layer, made again from its directory.

Theory: the store keeps a layer unpacked and not its blob. Its skeleton (layer.skeleton) gives the archive
back byte by byte, so an image keeps its diff ids, and the digest of its configuration with them. The
compressed blob is another: how its writer compressed it is not known. Where there is no skeleton, and for
what a container has written, order and headers are ours: the same tree always makes the same bytes.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Callable

from launcher.data import Data
from provisioner.errors import StoreError
from provisioner.layer.read_layer import LayerReader
from provisioner.layer.skeleton import LayerChanged, rebuild
from provisioner.layer.write_tar import TarWriter
from provisioner.sources.spool import unnamed_file, write_all
from provisioner.sources.synthetic import LAYER_TYPE

_PULL = "`containerizer images verify` tells what else has; remove the image and pull it again"
_LEVEL = 6  # of gzip, as gzip(1) and Docker take
_BUFFER = 1 << 20  # bytes that are hashed and written at once


class LayerArchive(Data, kw_only=True):
    """On an open file without a name, which belongs to whoever gets this."""

    fd: int
    size: int  # bytes of the blob
    digest: str  # of the blob
    diff_id: str  # of the archive, uncompressed
    media_type: str


def archive_layer(directory: str, scratch: str, *, compress: bool) -> LayerArchive:
    """Archive the directory of a layer, with gzip if asked. Raises StoreError, OSError."""

    def make(write: Callable[[bytes | memoryview], object]) -> None:
        writer = TarWriter(write)
        for entry, content in LayerReader(directory):
            writer.add(entry, content)
        writer.finish()

    return _written(make, scratch, compress=compress)


def restore_layer(
    directory: str, skeleton: str, diff_id: str, scratch: str, *, compress: bool
) -> LayerArchive:
    """The archive that the layer came from. Raises StoreError for a layer that has changed, OSError."""

    def make(write: Callable[[bytes | memoryview], object]) -> None:
        root_fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            rebuild(skeleton, root_fd, write)
        finally:
            os.close(root_fd)

    try:
        made = _written(make, scratch, compress=compress)
    except LayerChanged as error:
        raise StoreError(f"layer {directory} has changed: {error}", hint=_PULL) from error
    if made.diff_id != diff_id:
        os.close(made.fd)
        raise StoreError(f"layer {directory} has changed: it hashes to {made.diff_id}", hint=_PULL)
    return made


def _written(
    make: Callable[[Callable[[bytes | memoryview], object]], object], scratch: str, *, compress: bool
) -> LayerArchive:
    fd = unnamed_file(scratch)
    try:
        output = _Output(fd, compress=compress)
        make(output.write)
        output.finish()
        os.lseek(fd, 0, os.SEEK_SET)
    except BaseException:
        os.close(fd)
        raise
    return LayerArchive(
        fd=fd,
        size=output.size,
        digest=f"sha256:{output.digest.hexdigest()}",
        diff_id=f"sha256:{output.diff_id.hexdigest()}",
        media_type=f"{LAYER_TYPE}+gzip" if compress else LAYER_TYPE,
    )


class _Output:
    """Hashes what is written before and after its compression."""

    def __init__(self, fd: int, *, compress: bool) -> None:
        self._fd = fd
        self._buffer = bytearray()
        # wbits 31: a gzip header without name and time, so that equal layers stay equal.
        self._compressor = zlib.compressobj(_LEVEL, wbits=31) if compress else None
        self.diff_id = hashlib.sha256()
        self.digest = hashlib.sha256() if compress else self.diff_id
        self.size = 0

    def write(self, data: bytes | memoryview) -> None:
        self._buffer += data
        if len(self._buffer) >= _BUFFER:
            self._flush()

    def finish(self) -> None:
        self._flush()
        if self._compressor is not None:
            self._put(self._compressor.flush())
        os.ftruncate(self._fd, self.size)

    def _flush(self) -> None:
        data = bytes(self._buffer)
        self._buffer.clear()
        self.diff_id.update(data)
        self._put(self._compressor.compress(data) if self._compressor is not None else data)

    def _put(self, data: bytes) -> None:
        if self._compressor is not None:
            self.digest.update(data)
        self.size += len(data)
        if data.count(0) == len(data):
            os.lseek(self._fd, len(data), os.SEEK_CUR)  # a hole: a sparse file takes no more disk in here
        else:
            write_all(self._fd, data)
