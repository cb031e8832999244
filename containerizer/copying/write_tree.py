"""Make files of entries below a root directory, which somebody else may change meanwhile.

The directory around each is opened by the kernel with the root as `/`; the file itself is made by
its name there, as a new one, and no link of that name is followed. A file takes the place of what is
not a directory, and a directory is merged with one that is there; neither replaces the other kind.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable

from containerizer.copying.errors import CopyFailed
from launcher.kernel import filesystems
from launcher.kernel.safe_path import open_beneath
from provisioner.layer import attributes
from provisioner.layer.stream import MalformedContent
from provisioner.layer.tar import Entry

_PARENT = os.O_PATH | os.O_DIRECTORY
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class TreeWriter:
    """Add the entries, each after its directory; then `finish`, and `close` in any case."""

    def __init__(self, root: int, top: str, *, contents_only: bool = False, complete: bool = False) -> None:
        """`top`: the path below `root` at which the entry without a name will be.

        `contents_only`: it is there, and stays as it is. `complete`: make directories that lack an
        entry of their own.
        """
        self.skipped: list[str] = []
        self._root = root
        self._top = os.fsencode(top).rstrip(b"/")
        self._contents_only = contents_only
        self._complete = complete
        self._directories: dict[bytes, Entry] = {}  # to be described when all is in them
        self._parent = -1  # the directory used last
        self._parent_path: bytes | None = None

    def add(self, entry: Entry, content: Iterable[bytes]) -> None:
        """Make one. Raises CopyFailed, OSError."""
        if not entry.unsafe_name and self._contents_only:
            return
        path = self._path(entry.unsafe_name)
        if not path:
            raise CopyFailed("the root directory cannot be replaced", hint="copy into it")
        parent_path, _, name = path.rpartition(b"/")
        parent = self._open_parent(parent_path)
        if entry.kind == "directory":
            self._make_directory(parent, name, path)
            self._directories[path] = entry
        elif entry.kind in ("char", "block"):
            self.skipped.append(os.fsdecode(entry.unsafe_name))
        else:
            _vacate(parent, name, path)
            self._make(parent, name, entry, content)

    def finish(self) -> None:
        """Give directories their attributes, the deepest first: what was made in them has changed them."""
        for path, entry in sorted(self._directories.items(), reverse=True):
            parent, _, name = path.rpartition(b"/")
            try:
                directory = os.open(name, _DIRECTORY, dir_fd=self._open_parent(parent))
            except FileNotFoundError:  # somebody has removed it
                continue
            try:
                _describe(directory, entry)
            finally:
                os.close(directory)

    def close(self) -> None:
        if self._parent_path is not None:
            os.close(self._parent)
            self._parent_path = None

    def _path(self, unsafe_name: bytes) -> bytes:
        """Below the root. Raises CopyFailed for a name that leads out of the copy."""
        parts = [part for part in unsafe_name.split(b"/") if part not in (b"", b".")]
        if b".." in parts or b"\0" in unsafe_name:
            raise CopyFailed(f"the name {os.fsdecode(unsafe_name)!r} leads out of the copy")
        return b"/".join((self._top, *parts))

    def _open_parent(self, path: bytes) -> int:
        if path != self._parent_path:
            self.close()
            self._parent, self._parent_path = self._opened(path), path
            if filesystems.is_the_kernels(self._parent):
                raise CopyFailed(f"{os.fsdecode(path)} is no place for files, but the kernel's own")
        return self._parent

    def _opened(self, path: bytes) -> int:
        try:
            return open_beneath(self._root, path or b"/", _PARENT)
        except FileNotFoundError:
            if not self._complete or not path:
                raise
        above, _, name = path.rpartition(b"/")
        parent = self._opened(above)
        try:
            os.mkdir(name, 0o755, dir_fd=parent)
            return os.open(name, _PARENT | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        finally:
            os.close(parent)

    def _make_directory(self, parent: int, name: bytes, path: bytes) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError:
            there = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if not stat.S_ISDIR(there.st_mode):
                raise CopyFailed(f"cannot replace {os.fsdecode(path)} by a directory") from None

    def _make(self, parent: int, name: bytes, entry: Entry, content: Iterable[bytes]) -> None:
        if entry.kind == "file":
            _make_file(parent, name, entry, content)
        elif entry.kind == "hardlink":
            self._link(parent, name, entry)
        elif entry.kind == "symlink":
            os.symlink(entry.unsafe_link, name, dir_fd=parent)
            _describe_name(parent, name, entry)
        else:
            os.mkfifo(name, 0o600, dir_fd=parent)
            _describe_name(parent, name, entry)
            _set_mode(parent, name, entry.mode)

    def _link(self, parent: int, name: bytes, entry: Entry) -> None:
        directory, _, source = self._path(entry.unsafe_link).rpartition(b"/")
        around = self._opened(directory)
        try:
            os.link(source, name, src_dir_fd=around, dst_dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(around)


def _vacate(parent: int, name: bytes, path: bytes) -> None:
    """Remove what is not a directory. Raises CopyFailed."""
    try:
        there = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    except FileNotFoundError:
        return
    try:
        if stat.S_ISDIR(os.fstat(there).st_mode):
            raise CopyFailed(f"cannot replace the directory {os.fsdecode(path)}")
        if filesystems.mount_of(there) != filesystems.mount_of(parent):
            # To remove what is under a mount of another namespace takes that mount away as well.
            raise CopyFailed(f"cannot replace {os.fsdecode(path)}: something is mounted there")
    finally:
        os.close(there)
    os.unlink(name, dir_fd=parent)


def _make_file(parent: int, name: bytes, entry: Entry, content: Iterable[bytes]) -> None:
    file = os.open(name, _NEW_FILE, 0o600, dir_fd=parent)
    try:
        for chunk in content:
            if chunk.count(0) == len(chunk):
                os.lseek(file, len(chunk), os.SEEK_CUR)  # a hole: the disk does without zeros
            else:
                _write(file, chunk)
        os.ftruncate(file, entry.size)
        _describe(file, entry)
    finally:
        os.close(file)


def _write(file: int, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[os.write(file, rest) :]


def _describe(descriptor: int, entry: Entry) -> None:
    # In this order: chown(2) clears setuid and setgid, and drops security.capability.
    os.fchown(descriptor, entry.uid, entry.gid)
    try:
        attributes.apply(descriptor, entry.xattrs)
    except MalformedContent as error:
        raise CopyFailed(f"{os.fsdecode(entry.unsafe_name)}: {error}") from error
    os.fchmod(descriptor, entry.mode)
    os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))


def _describe_name(parent: int, name: bytes, entry: Entry) -> None:
    """A link or fifo, which is never opened."""
    os.chown(name, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)
    os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=parent, follow_symlinks=False)


def _set_mode(parent: int, name: bytes, mode: int) -> None:
    """Of a fifo; not by its name, which may be a link by now."""
    node = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        if stat.S_ISFIFO(os.fstat(node).st_mode):
            os.chmod(f"/proc/self/fd/{node}", mode)
    finally:
        os.close(node)
