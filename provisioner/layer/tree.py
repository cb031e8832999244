"""LayerTree: applies tar entries to a directory, in the form that overlayfs reads.

Theory: every path is split into its parent and one last name. The parent is resolved by the kernel
beneath the layer's root (launcher.kernel.safe_path), so a symbolic link or `..` cannot lead out of
it; the last name is then made or removed relative to the parent's descriptor and never followed.
Nothing that an entry says is used as a path of the host.

Whiteouts become what overlayfs knows: `.wh.NAME` a character device 0:0 named NAME, and
`.wh..wh..opq` the xattr trusted.overlay.opaque on its directory. They hide the layers below only,
never what this layer has, whatever the order of the entries.

Directories stay plain until `finish` describes them: nothing made inside one then inherits its group
or access list, fails for its mode, or changes its time.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterable, Iterator

from launcher.kernel.safe_path import open_beneath
from provisioner.layer import attributes
from provisioner.layer.metadata import Metadata
from provisioner.layer.parents import Parents, split
from provisioner.layer.sparse import placed
from provisioner.layer.stack import is_whiteout
from provisioner.layer.stream import MalformedContent
from provisioner.layer.tar import Entry

_WHITEOUT = b".wh."
_WHITEOUT_META = b".wh..wh."  # aufs' own files; of them only the next means something to others
_OPAQUE = b".wh..wh..opq"

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PARENT = os.O_PATH | os.O_DIRECTORY
_DEVICES = "device nodes"  # as listed among what was left out
_NODES = {"char": stat.S_IFCHR, "block": stat.S_IFBLK, "fifo": stat.S_IFIFO}
_HOLE = 1 << 16  # bytes of zeros that are not written
_ZEROS = bytes(_HOLE)
_KEPT = 50_000  # directories of which descriptions are kept in memory

_WHITEOUTS = 100_000  # that are remembered

# What the kernel answers to an entry that contradicts the archive; anything else is the host's.
_CONTRADICTIONS = frozenset(
    {errno.EEXIST, errno.EINVAL, errno.EISDIR, errno.ELOOP, errno.EMLINK}
    | {errno.ENAMETOOLONG, errno.ENOENT, errno.ENOTDIR, errno.EXDEV}
)


class LayerTree:
    """The directory of one layer while its archive is applied. Close it when done.

    `trash_fd` is a directory on the same filesystem for what an entry replaces; its owner empties it.
    """

    def __init__(self, root_fd: int, trash_fd: int, metadata: Metadata) -> None:
        self.size = 0  # bytes of all files
        self.whiteouts: list[bytes] = []  # paths of what they hide
        self.replaced = False  # whether anything that an entry made is gone again
        self._root_fd = root_fd
        self._trash_fd = trash_fd
        self._metadata = metadata
        self._parents = Parents(root_fd)
        self._trashed = 0
        self._directories: dict[bytes, Entry] = {}  # by path, still to be described
        self._times: dict[bytes, tuple[int, int]] = {}  # of described ones: inode, and mtime in ns
        self._stale = False  # whether open parents may be gone

    @property
    def implicit(self) -> set[bytes]:
        """Paths of the directories that no entry described."""
        return self._parents.implicit

    def apply(self, entry: Entry, content: Iterable[memoryview]) -> None:
        """Make what the entry says. Raises MalformedContent; OSError when the host is at fault."""
        if self._stale:
            self._parents.forget()
            self._stale = False
        try:
            place = self._parents.locate(entry.unsafe_name.rstrip(b"/"))
            if place:
                self._apply(entry, *place, content)
            elif entry.kind == "directory":
                self._describe_later(b"", entry)
            else:
                raise MalformedContent(f"tar entry {entry.unsafe_name!r} is the root, and no directory")
        except OSError as error:
            if error.errno not in _CONTRADICTIONS:
                raise
            raise MalformedContent(f"tar entry {entry.unsafe_name!r}: {error.strerror}") from error

    def finish(self) -> None:
        """Describe the directories, and set the times of those that were described before."""
        before = dict(self._times)
        self._describe_all()
        for path, (inode, mtime_ns) in before.items():
            with self._opened(path) as fd:
                if fd is not None and os.fstat(fd).st_ino == inode:
                    os.utime(fd, ns=(mtime_ns, mtime_ns))

    def close(self) -> None:
        self._parents.forget()

    def _apply(
        self, entry: Entry, parent_fd: int, parent: bytes, name: bytes, content: Iterable[memoryview]
    ) -> None:
        if name.startswith(_WHITEOUT):
            self._whiteout(parent_fd, parent, name)
        elif entry.kind == "file":
            self._file(parent_fd, parent, name, entry, content)
        elif entry.kind == "directory":
            self._directory(parent_fd, parent, name, entry)
        else:
            self._vacate(parent_fd, parent, name)
            if entry.kind == "hardlink":
                self._hardlink(parent_fd, name, entry)
            elif entry.kind == "symlink":
                self._symlink(parent_fd, name, entry)
            else:
                self._node(parent_fd, name, entry)

    # What an entry replaces.

    def _vacate(self, parent_fd: int, parent: bytes, name: bytes) -> None:
        """Remove what an earlier entry made under this name; paths through it resolve anew."""
        try:
            status = os.stat(name, dir_fd=parent_fd, follow_symlinks=False)
        except FileNotFoundError:
            return
        mode = status.st_mode
        self.replaced = self.replaced or not is_whiteout(status)
        if stat.S_ISDIR(mode) or stat.S_ISLNK(mode):
            self._describe_all()  # what can be named through it, while it still can
            self._metadata.distrust_owners()
            self._stale = True
        if stat.S_ISDIR(mode):
            # A whole tree, maybe deep: out of the way in one call, and removed by the trash's owner.
            self._trashed += 1
            os.rename(name, f"replaced-{self._trashed}", src_dir_fd=parent_fd, dst_dir_fd=self._trash_fd)
        else:
            os.unlink(name, dir_fd=parent_fd)

    def _whiteout(self, parent_fd: int, parent: bytes, name: bytes) -> None:
        if name == _OPAQUE:
            _make_opaque(parent_fd, b".")
            return
        hidden = name.removeprefix(_WHITEOUT)
        if name.startswith(_WHITEOUT_META):
            return
        if hidden in (b"", b".", b".."):
            raise MalformedContent(f"whiteout {name!r} names no file")
        try:
            os.mknod(hidden, stat.S_IFCHR, os.makedev(0, 0), dir_fd=parent_fd)
            if len(self.whiteouts) < _WHITEOUTS:
                self.whiteouts.append(_join(parent, hidden))
        except FileExistsError:
            # This layer's own file hides those below by itself; its directory would be merged.
            if stat.S_ISDIR(os.stat(hidden, dir_fd=parent_fd, follow_symlinks=False).st_mode):
                _make_opaque(parent_fd, hidden)

    # The kinds of entries.

    def _directory(self, parent_fd: int, parent: bytes, name: bytes, entry: Entry) -> None:
        hides = False
        try:
            os.mkdir(name, 0o700, dir_fd=parent_fd)
        except FileExistsError:
            present = os.stat(name, dir_fd=parent_fd, follow_symlinks=False)
            if not stat.S_ISDIR(present.st_mode):
                hides = is_whiteout(present)
                self._vacate(parent_fd, parent, name)
                os.mkdir(name, 0o700, dir_fd=parent_fd)
        if hides:  # a whiteout was here: the directory is new, and not merged with one below
            _make_opaque(parent_fd, name)
        self._describe_later(_join(parent, name), entry)

    def _describe_later(self, path: bytes, entry: Entry) -> None:
        self._parents.implicit.discard(path)
        self._times.pop(path, None)
        self._directories[path] = entry
        if len(self._directories) > _KEPT:  # no image, but a bomb: its times need not be right
            self._describe_all()
            self._metadata.distrust_owners()
            self._times.clear()

    def _describe_all(self) -> None:
        """The inner directories first: an outer one's mode may lock us out."""
        for path in sorted(self._directories, reverse=True):
            with self._opened(path) as fd:
                if fd is not None:
                    entry = self._directories[path]
                    self._metadata.file(fd, entry)
                    self._times[path] = os.fstat(fd).st_ino, entry.mtime_ns
        self._directories.clear()

    @contextlib.contextmanager
    def _opened(self, path: bytes) -> Iterator[int | None]:
        """The directory, if no later entry took its place."""
        try:
            fd = open_beneath(self._root_fd, path or b".", _DIRECTORY)
        except OSError as error:
            if error.errno not in _CONTRADICTIONS:
                raise
            yield None
            return
        try:
            yield fd
        finally:
            os.close(fd)

    def _file(
        self, parent_fd: int, parent: bytes, name: bytes, entry: Entry, content: Iterable[memoryview]
    ) -> None:
        mode = entry.mode & 0o777
        try:
            fd = os.open(name, _NEW_FILE, mode, dir_fd=parent_fd)
        except FileExistsError:
            self._vacate(parent_fd, parent, name)
            fd = os.open(name, _NEW_FILE, mode, dir_fd=parent_fd)
        try:
            if entry.segments is None:
                holes = [_write_sparsely(fd, chunk) for chunk in content]
                if any(holes):
                    os.ftruncate(fd, entry.size)
            else:
                for offset, piece in placed(entry, content):
                    os.lseek(fd, offset, os.SEEK_SET)
                    _write(fd, piece)
                os.ftruncate(fd, entry.size)
            self._metadata.file(fd, entry, mode)
        finally:
            os.close(fd)
        self.size += entry.size

    def _hardlink(self, parent_fd: int, name: bytes, entry: Entry) -> None:
        parts = split(entry.unsafe_link)
        if not parts:
            raise MalformedContent(f"hard link {entry.unsafe_name!r} names no file")
        source_fd = open_beneath(self._root_fd, b"/".join(parts[:-1]) or b".", _PARENT)
        try:
            if stat.S_ISDIR(os.stat(parts[-1], dir_fd=source_fd, follow_symlinks=False).st_mode):
                raise MalformedContent(f"hard link {entry.unsafe_name!r} to a directory")
            os.link(parts[-1], name, src_dir_fd=source_fd, dst_dir_fd=parent_fd, follow_symlinks=False)
        except FileNotFoundError:
            if not self._metadata.skipped.counts.get(_DEVICES):
                raise
            self._metadata.skipped.add("links to what was left out", entry.unsafe_name)
        finally:
            os.close(source_fd)

    def _symlink(self, parent_fd: int, name: bytes, entry: Entry) -> None:
        if not entry.unsafe_link or b"\0" in entry.unsafe_link:
            raise MalformedContent(f"symbolic link {entry.unsafe_name!r} without a valid target")
        os.symlink(entry.unsafe_link, name, dir_fd=parent_fd)
        self._metadata.named(parent_fd, name, entry)

    def _node(self, parent_fd: int, name: bytes, entry: Entry) -> None:
        try:
            os.mknod(name, _NODES[entry.kind] | 0o600, os.makedev(*entry.device), dir_fd=parent_fd)
        except PermissionError:
            if not self._metadata.rootless:
                raise
            self._metadata.skipped.add(_DEVICES, entry.unsafe_name)
            return
        self._metadata.named(parent_fd, name, entry)


def _make_opaque(parent_fd: int, name: bytes) -> None:
    fd = os.open(name, _DIRECTORY, dir_fd=parent_fd)
    try:
        attributes.make_opaque(fd)
    finally:
        os.close(fd)


def _write_sparsely(fd: int, chunk: memoryview) -> bool:
    """Write the chunk, but long runs of zeros, which become holes; whether it had any."""
    start, holes = 0, False
    for end in range(0, len(chunk) - _HOLE + 1, _HOLE):
        # Most are told by their first byte.
        if chunk[end] == 0 and chunk[end : end + _HOLE].tobytes() == _ZEROS:
            _write(fd, chunk[start:end])
            os.lseek(fd, _HOLE, os.SEEK_CUR)
            start, holes = end + _HOLE, True
    _write(fd, chunk[start:])
    return holes


def _write(fd: int, chunk: memoryview) -> None:
    while chunk:
        chunk = chunk[os.write(fd, chunk) :]


def _join(parent: bytes, name: bytes) -> bytes:
    return parent + b"/" + name if parent else name
