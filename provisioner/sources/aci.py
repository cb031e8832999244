"""Aci: one application container image in an open file, and the layer that its rootfs makes.

manifest              JSON
rootfs/               the files; nothing else may be there

The archive is read, never unpacked: its entries below rootfs/ are written as a layer's archive, whose
names are checked when that is applied, as those of any layer.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
from collections.abc import Iterator

from launcher.data import Data
from provisioner.errors import InvalidImage
from provisioner.layer.stream import CHUNK, ByteStream, MalformedContent, Readable
from provisioner.layer.tar import Entry, TarReader
from provisioner.layer.write_tar import TarWriter
from provisioner.manifest import MAX_DOCUMENT
from provisioner.sources.appc_manifest import AciManifest, parse_manifest
from provisioner.sources.archive import Archive
from provisioner.sources.spool import Section, spool, unnamed_file, write_all

_ROOTFS = "rootfs"
_WHITEOUT = ".wh."


class AciLayer(Data, kw_only=True):
    """An uncompressed layer on an open file without a name, which belongs to whoever gets this."""

    fd: int
    size: int
    digest: str
    paths: frozenset[str]  # that it has
    owners: tuple[int, int] | None  # user and group of the file that was asked for


class Aci:
    """Close it when its layer is made."""

    def __init__(self, source: Readable, scratch: str, what: str) -> None:
        """Raises InvalidImage."""
        digest = hashlib.sha512()
        self._fd = spool(source, scratch, what, observe=digest.update)
        self._what = what
        self._scratch = scratch
        self.image_id = f"sha512-{digest.hexdigest()}"
        try:
            self.manifest: AciManifest = parse_manifest(_manifest(self._fd, what), what)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        os.close(self._fd)

    def layer(self, below: frozenset[str], wanted: str | None) -> AciLayer:
        """Its rootfs as a layer; `below` are the paths of its dependencies, for the whitelist.

        `wanted`: a path whose owners are asked for. Raises InvalidImage, OSError.
        """
        fd = unnamed_file(self._scratch)
        try:
            return self._write(fd, below, wanted)
        except MalformedContent as error:
            os.close(fd)
            raise InvalidImage(f"{self._what}: {error}") from error
        except BaseException:
            os.close(fd)
            raise

    def _write(self, fd: int, below: frozenset[str], wanted: str | None) -> AciLayer:
        digest, size, paths, owners = hashlib.sha256(), 0, set[str](), None

        def write(data: bytes) -> None:
            nonlocal size
            digest.update(data)
            size += len(data)
            write_all(fd, data)

        writer, allowed = TarWriter(write), Allowed(self.manifest.whitelist)
        reader = TarReader(ByteStream(_chunks(self._fd)))
        for entry in reader:
            path = _below_rootfs(entry.unsafe_name)
            if path is None or not allowed.has(path):
                continue
            if path == wanted:
                owners = entry.uid, entry.gid
            writer.add(self._renamed(entry, path, allowed), map(bytes, reader.content()))
            paths.add(path)
        for marker in allowed.removed(below - paths):
            writer.add(marker, ())
        for path in allowed.directories:
            if path not in paths:
                writer.add(_entry("directory", path), ())
        writer.finish()
        return AciLayer(
            fd=fd, size=size, digest=f"sha256:{digest.hexdigest()}", paths=frozenset(paths), owners=owners
        )

    def _renamed(self, entry: Entry, path: str, allowed: Allowed) -> Entry:
        link = entry.unsafe_link
        if entry.kind == "hardlink":
            target = _below_rootfs(link)
            if target is None or not allowed.has(target):
                raise InvalidImage(
                    f"{self._what} has a hard link to {os.fsdecode(link)!r}, which is not of it"
                )
            link = os.fsencode(target)
        return entry._replace(unsafe_name=os.fsencode(path), unsafe_link=link, segments=None)


class Allowed:
    """What a pathWhitelist lets be: its paths, and the directories around them. An empty one is none."""

    def __init__(self, whitelist: tuple[str, ...]) -> None:
        self.directories = sorted(path.rstrip("/") for path in whitelist if path.endswith("/"))
        named = {path.rstrip("/") for path in whitelist}
        self._paths = named | {above for path in named for above in _above(path)} | {""}
        self._all = not whitelist

    def has(self, path: str) -> bool:
        return self._all or path in self._paths

    def removed(self, paths: frozenset[str]) -> Iterator[Entry]:
        """Whiteouts of those of `paths` that may not be; what is below one needs none of its own."""
        for path in sorted(paths):
            if not self.has(path) and all(map(self.has, _above(path))):
                directory, name = posixpath.split(path)
                yield _entry("file", posixpath.join(directory, _WHITEOUT + name))


def _above(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts))]


def _manifest(fd: int, what: str) -> bytes:
    archive = Archive(os.dup(fd), what)
    try:
        return archive.read("manifest", MAX_DOCUMENT)
    finally:
        archive.close()


def _below_rootfs(unsafe_name: bytes) -> str | None:
    """The path in the rootfs, "" its top; None for what is not in it. `..` stays for the layer's reader."""
    parts = [part for part in os.fsdecode(unsafe_name).split("/") if part not in ("", ".")]
    return "/".join(parts[1:]) if parts and parts[0] == _ROOTFS else None


def _chunks(fd: int) -> Iterator[bytes]:
    section = Section(fd, 0, os.fstat(fd).st_size)
    while chunk := section.read(CHUNK):
        yield chunk


def _entry(kind: str, path: str) -> Entry:
    return Entry(
        kind=kind,
        unsafe_name=os.fsencode(path),
        unsafe_link=b"",
        mode=0o755,
        uid=0,
        gid=0,
        size=0,
        mtime_ns=0,
        device=(0, 0),
        xattrs={},
    )
