"""Archive: the files in a tar archive, found by name and read in place. Nothing of it is unpacked.

Names in it are keys to compare, never paths to open: an archive that holds `../x` has a file that
nobody asks for. Symbolic and hard links lead to other files of the archive, a few steps at most.
"""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterator

from launcher.data import Data
from provisioner.errors import ImageNotFound, InvalidImage
from provisioner.layer.stream import ByteStream, MalformedContent, Readable
from provisioner.layer.tar import TarReader
from provisioner.sources.spool import Descriptor, Section, compression_of, spool

_MAX_MEMBERS = 100_000  # far above what any image has layers
_MAX_LINKS = 8
_HEAD = 256 << 10  # bytes of the archive read at once while its headers are looked for


class Member(Data):
    """Where a file's content is, or the name that it is a link to."""

    offset: int
    size: int
    link: str | None = None


class Archive:
    """An archive on an open file, which belongs to this object. Reading from several threads is fine."""

    def __init__(self, fd: int, what: str) -> None:
        """`what` names it in messages. Raises InvalidImage."""
        self.what = what
        self._fd = fd
        try:
            self._members = dict(_members(fd, what))
        except BaseException:
            os.close(fd)
            raise

    @classmethod
    def open(cls, path: str, scratch: str) -> Archive:
        """One in a file, compressed or not; `scratch` is a directory for what it unpacks to."""
        try:
            # O_NONBLOCK: a fifo under that name must not hang us.
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise ImageNotFound(f"cannot read {path}: {error.strerror}") from error
        mode = os.fstat(fd).st_mode
        if not stat.S_ISREG(mode):
            os.close(fd)
            layout = f"of a directory there is `pull oci:{path}`"
            hint = layout if stat.S_ISDIR(mode) else "pipe a stream into `load`"
            raise InvalidImage(f"{path} is not a regular file", hint=hint)
        return cls.of_descriptor(fd, path, scratch)

    @classmethod
    def of_descriptor(cls, fd: int, what: str, scratch: str) -> Archive:
        """One in an open file or pipe, which is closed when it is no longer needed."""
        seekable = stat.S_ISREG(os.fstat(fd).st_mode)
        if seekable and compression_of(os.pread(fd, 8, 0)) == "none":
            return cls(fd, what)
        try:
            spooled = spool(Descriptor(fd), scratch, what)
        finally:
            os.close(fd)
        return cls(spooled, what)

    def names(self) -> list[str]:
        return list(self._members)

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def size(self, name: str) -> int:
        return self._member(name).size

    def stream(self, name: str) -> Readable:
        """The content of a file. Raises ImageNotFound, InvalidImage."""
        member = self._member(name)
        return Section(self._fd, member.offset, member.size)

    def read(self, name: str, limit: int) -> bytes:
        """All of it. Raises InvalidImage where that is more than `limit` bytes, or cut off."""
        member = self._member(name)
        if member.size > limit:
            raise InvalidImage(f"{name} in {self.what} is larger than {limit} bytes")
        content = os.pread(self._fd, member.size, member.offset)
        if len(content) != member.size:
            raise InvalidImage(f"{name} in {self.what} is cut off")
        return content

    def close(self) -> None:
        os.close(self._fd)

    def _member(self, name: str) -> Member:
        current = _normal(name)
        for _ in range(_MAX_LINKS):
            member = self._members.get(current)
            if member is None:
                raise ImageNotFound(f"{self.what} holds no {name}")
            if member.link is None:
                return member
            current = member.link
        raise InvalidImage(f"{name} in {self.what} is a link that leads in a circle")


def _members(fd: int, what: str) -> Iterator[tuple[str, Member]]:
    stream = _FileStream(fd)
    seen: set[str] = set()
    try:
        for entry in TarReader(stream):
            name = _normal(os.fsdecode(entry.unsafe_name))
            if entry.kind not in ("file", "symlink", "hardlink"):
                continue
            if entry.segments is not None:
                raise InvalidImage(
                    f"{what} stores {name!r} as a sparse file", hint="write it without tar's -S"
                )
            # Readers disagree which of two files of one name counts: each would see another image.
            if name in seen:
                raise InvalidImage(f"{what} holds {name!r} twice")
            if entry.segments is not None:
                raise InvalidImage(f"{what} holds {name!r} as a sparse file")
            if len(seen) == _MAX_MEMBERS:
                raise InvalidImage(f"{what} holds more than {_MAX_MEMBERS} files")
            seen.add(name)
            target = os.fsdecode(entry.unsafe_link)
            if entry.kind == "symlink":
                target = posixpath.join(posixpath.dirname(name), target)
            link = None if entry.kind == "file" else _normal(target)
            yield name, Member(stream.position, entry.size, link)
    except MalformedContent as error:
        raise InvalidImage(
            f"{what} is not a tar archive that can be read: {error}",
            hint="write it with `containerizer save`, `docker save`, podman or skopeo",
        ) from error


def _normal(name: str) -> str:
    return posixpath.normpath("/" + name).lstrip("/")


class _FileStream(ByteStream):
    """A ByteStream on a file that seeks over what is skipped, and knows where it is."""

    def __init__(self, fd: int) -> None:
        super().__init__(iter(()))
        self._fd = fd
        self._size = os.fstat(fd).st_size
        self.position = 0
        self._buffer = b""
        self._start = 0  # of the buffer in the file

    def some(self, limit: int) -> memoryview:
        at = self.position - self._start
        if not 0 <= at < len(self._buffer):
            self._buffer, self._start, at = os.pread(self._fd, _HEAD, self.position), self.position, 0
        view = memoryview(self._buffer)[at : at + limit]
        self.position += len(view)
        return view

    def skip(self, size: int) -> None:
        if size > self._size - self.position:
            raise MalformedContent("tar archive ends in the middle of an entry")
        self.position += size

    def skip_at_most(self, size: int) -> None:
        self.position = min(self.position + size, max(self._size, self.position))
