"""Read a file or directory and all below it as entries, while somebody else may change it.

What goes or turns into something else before it was read is left out. The kernel's own filesystems
are directories without content; device nodes, sockets and the kernel's files are left out, and told. A
file is opened for real only once it is known to be one: a fifo would block.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

from containerizer.copying.errors import CopyFailed
from launcher.kernel import filesystems
from launcher.kernel.safe_path import open_beneath
from provisioner.layer import attributes
from provisioner.layer.read_layer import entry_of
from provisioner.layer.tar import Entry

CHUNK = 1 << 20  # bytes read at once

_NODE = os.O_PATH | os.O_NOFOLLOW
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_CHANGED = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ESTALE)

Item = tuple[Entry, Iterator[bytes]]


class TreeReader:
    """Iterate over it, once. Each entry's content is to be read before the next one."""

    def __init__(self, top: int) -> None:
        """`top`: an O_PATH descriptor, which stays the caller's."""
        self._top = top
        self._linked: dict[tuple[int, int], bytes] = {}  # first names of files that have several
        self.skipped: list[str] = []  # what cannot be copied, below the top

    def __iter__(self) -> Iterator[Item]:
        """Raises CopyFailed where the top itself cannot be copied, OSError."""
        status = os.fstat(self._top)
        if not stat.S_ISDIR(status.st_mode):
            yield from self._node(self._top, b"")
            if self.skipped:
                raise CopyFailed("device nodes, sockets and the kernel's own files are not copied")
            return
        pending = [b""]
        yield from self._node(self._top, b"")
        while pending:
            for item in self._inside(pending.pop()):
                if item[0].kind == "directory":
                    pending.append(item[0].unsafe_name)
                yield item

    def _inside(self, path: bytes) -> Iterator[Item]:
        """What is directly in a directory."""
        directory = self._open_directory(path)
        if directory is None:
            return
        try:
            names = [] if filesystems.is_the_kernels(directory) else sorted(os.listdir(directory))
            for name in map(os.fsencode, names):
                try:
                    node = os.open(name, _NODE | os.O_CLOEXEC, dir_fd=directory)
                except OSError as error:
                    if error.errno not in _CHANGED:
                        raise
                    continue
                try:
                    yield from self._node(node, b"/".join(filter(None, (path, name))))
                finally:
                    os.close(node)
        finally:
            os.close(directory)

    def _open_directory(self, path: bytes) -> int | None:
        try:
            return open_beneath(self._top, path or b".", _DIRECTORY, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _CHANGED:
                raise
            return None

    def _node(self, node: int, name: bytes) -> Iterator[Item]:
        status = os.fstat(node)
        if stat.S_ISREG(status.st_mode) and not filesystems.is_the_kernels(node):  # those have no size
            yield from self._file(node, name, status)
        elif stat.S_ISDIR(status.st_mode):
            directory = open_beneath(node, b".", _DIRECTORY)
            try:
                yield entry_of("directory", name, status, xattrs=_xattrs(directory)), iter(())
            finally:
                os.close(directory)
        elif stat.S_ISLNK(status.st_mode):
            link = os.fsencode(os.readlink("", dir_fd=node))
            yield entry_of("symlink", name, status, link=link), iter(())
        elif stat.S_ISFIFO(status.st_mode):
            yield entry_of("fifo", name, status), iter(())
        else:
            self.skipped.append(os.fsdecode(name))

    def _file(self, node: int, name: bytes, status: os.stat_result) -> Iterator[Item]:
        identity = (status.st_dev, status.st_ino)
        if status.st_nlink > 1 and self._linked.setdefault(identity, name) != name:
            yield entry_of("hardlink", name, status, link=self._linked[identity]), iter(())
            return
        file = os.open(f"/proc/self/fd/{node}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            entry = entry_of("file", name, status, size=status.st_size, xattrs=_xattrs(file))
            yield entry, _content(file, status.st_size)
        finally:
            os.close(file)


def _xattrs(descriptor: int) -> dict[str, bytes]:
    try:
        return attributes.of(descriptor)
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
        return {}


def _content(file: int, size: int) -> Iterator[bytes]:
    """As many bytes as there were: what has grown since is cut, what has shrunk ends in zeros."""
    while size > 0:
        chunk = os.read(file, min(size, CHUNK)) or bytes(min(size, CHUNK))
        size -= len(chunk)
        yield chunk
