"""LayerReader: the entries of a layer's directory as its archive has them, the way back from LayerTree.

Theory: what overlayfs keeps as a character device 0:0 is a whiteout again, `.wh.NAME`, and a directory
with its xattr "opaque" gets its `.wh..wh..opq` (image-spec layer.md). The order is that of the names,
each directory before what is in it, so one tree always makes one archive. A task may change the
directory meanwhile (`commit --no-pause`): no link is followed, and what goes before it was read is left out.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

from launcher.kernel.safe_path import open_beneath
from provisioner.errors import StoreError
from provisioner.layer import attributes
from provisioner.layer.tar import Entry

CHUNK = 1 << 20  # bytes of a file read at once

_WHITEOUT = b".wh."
_OPAQUE = b".wh..wh..opq"
_NODE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_CHANGED = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ESTALE)
_MERGING = ("trusted.overlay.redirect", "trusted.overlay.metacopy")
_KINDS = {
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFCHR: "char",
    stat.S_IFBLK: "block",
}

Item = tuple[Entry, Iterator[bytes]]


class LayerReader:
    """Iterate over it, once; each entry's content is to be read before the next one."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._linked: dict[tuple[int, int], bytes] = {}  # the first names of files that have several

    def __iter__(self) -> Iterator[Item]:
        """Sockets are left out: no archive holds them. Raises StoreError, OSError."""
        top = os.open(self._directory, _DIRECTORY | os.O_CLOEXEC)
        try:
            yield from self._tree(top)
        finally:
            os.close(top)

    def _tree(self, top: int) -> Iterator[Item]:
        pending = [b""]  # paths of directories, the next one last: as deep as they like
        while pending:
            path = pending.pop()
            inside: list[bytes] = []
            for item in self._directory_at(top, path):
                if item[0].kind == "directory" and item[0].unsafe_name != path:
                    inside.append(item[0].unsafe_name)
                    continue
                yield item
            pending += reversed(inside)

    def _directory_at(self, top: int, path: bytes) -> Iterator[Item]:
        """The directory itself, and what is directly in it."""
        try:
            directory = open_beneath(top, path or b".", _DIRECTORY, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _CHANGED or not path:
                raise
            return
        try:
            self._check_whole(directory, path)
            yield entry_of("directory", path, os.fstat(directory), xattrs=attributes.of(directory)), iter(())
            if attributes.is_opaque(directory):
                yield _marker(_join(path, _OPAQUE)), iter(())
            for name in sorted(map(os.fsencode, os.listdir(directory))):
                if not name.startswith(_WHITEOUT):  # a task's file; no archive can tell it from a whiteout
                    yield from self._named(directory, path, name)
        finally:
            os.close(directory)

    def _named(self, directory: int, path: bytes, name: bytes) -> Iterator[Item]:
        try:
            node = os.open(name, _NODE, dir_fd=directory)
        except OSError as error:
            if error.errno not in _CHANGED:
                raise
            return
        try:
            yield from self._node(node, path, name)
        finally:
            os.close(node)

    def _node(self, node: int, path: bytes, name: bytes) -> Iterator[Item]:
        status, full = os.fstat(node), _join(path, name)
        form = stat.S_IFMT(status.st_mode)
        if form == stat.S_IFCHR and status.st_rdev == 0:
            yield _marker(_join(path, _WHITEOUT + name)), iter(())
        elif form == stat.S_IFDIR:
            yield entry_of("directory", full, status), iter(())
        elif form == stat.S_IFREG:
            yield from self._file(node, full, status)
        elif form in _KINDS:
            link = os.fsencode(os.readlink("", dir_fd=node)) if form == stat.S_IFLNK else b""
            yield entry_of(_KINDS[form], full, status, link=link), iter(())

    def _file(self, node: int, name: bytes, status: os.stat_result) -> Iterator[Item]:
        first = self._linked.setdefault((status.st_dev, status.st_ino), name) if status.st_nlink > 1 else name
        if first != name:
            yield entry_of("hardlink", name, status, link=first), iter(())
            return
        file = os.open(f"/proc/self/fd/{node}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            self._check_whole(file, name)
            entry = entry_of("file", name, status, size=status.st_size, xattrs=attributes.of(file))
            yield entry, _content(file, status.st_size)
        finally:
            os.close(file)

    def _check_whole(self, descriptor: int, name: bytes) -> None:
        """overlayfs can be told to keep a renamed directory, or a file's content, in a lower layer only."""
        found = set(_MERGING).intersection(os.listxattr(descriptor))
        if found:
            raise StoreError(
                f"{os.fsdecode(name)!r} in {self._directory} is not whole: it has {min(found)}",
                hint="load the overlay module with redirect_dir=off and metacopy=off",
            )


def _content(file: int, size: int) -> Iterator[bytes]:
    """As many bytes as there were: what has grown since is cut, what has shrunk ends in zeros."""
    while size > 0:
        chunk = os.read(file, min(size, CHUNK)) or bytes(min(size, CHUNK))
        size -= len(chunk)
        yield chunk


def _marker(name: bytes) -> Entry:
    return Entry(
        kind="file",
        unsafe_name=name,
        unsafe_link=b"",
        mode=0o600,
        uid=0,
        gid=0,
        size=0,
        mtime_ns=0,
        device=(0, 0),
        xattrs={},
    )


def entry_of(
    kind: str,
    name: bytes,
    status: os.stat_result,
    *,
    link: bytes = b"",
    size: int = 0,
    xattrs: dict[str, bytes] | None = None,
) -> Entry:
    """What the file of this status is in an archive."""
    return Entry(
        kind=kind,
        unsafe_name=name,
        unsafe_link=link,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        size=size,
        mtime_ns=status.st_mtime_ns,
        device=(os.major(status.st_rdev), os.minor(status.st_rdev)) if kind in ("char", "block") else (0, 0),
        xattrs=xattrs or {},
    )


def _join(path: bytes, name: bytes) -> bytes:
    return path + b"/" + name if path else name
