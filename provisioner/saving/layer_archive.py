"""The archive of a layer, made again from its directory.

Theory: the store keeps a layer unpacked and not its blob, so the archive is written anew. Its order and
headers are ours: the same tree always makes the same bytes, but other bytes than its first writer made. A
layer has therefore a new digest when it leaves, and an image a new one with it; what has been
saved once keeps its digests from then on.
"""

from __future__ import annotations

import hashlib
import os
import zlib

from launcher.data import Data
from provisioner.layer.read_layer import LayerReader
from provisioner.layer.write_tar import TarWriter
from provisioner.sources.spool import unnamed_file, write_all
from provisioner.sources.synthetic import LAYER_TYPE

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
    fd = unnamed_file(scratch)
    try:
        output = _Output(fd, compress=compress)
        writer = TarWriter(output.write)
        for entry, content in LayerReader(directory):
            writer.add(entry, content)
        writer.finish()
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

    def write(self, data: bytes) -> None:
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
