"""LayerTree: applies tar entries to a directory, in the form that overlayfs reads.

Theory: every path is split into its parent and one last name. The parent is resolved by the kernel
beneath the layer's root (launcher.kernel.safe_path), so a symbolic link or `..` cannot lead out of
it; the last name is then made or removed relative to the parent's descriptor and never followed.
Nothing that an entry says is used as a path of the host.

Whiteouts become what overlayfs knows: `.wh.NAME` a character device 0:0 named NAME, and
`.wh..wh..opq` the xattr trusted.overlay.opaque on its directory. They hide the layers below only,
never what this layer has, whatever the order of the entries.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable

from launcher.kernel.safe_path import open_beneath
from provisioner.layer import attributes
from provisioner.layer.stream import MalformedContent
from provisioner.layer.tar import Entry

_WHITEOUT = b".wh."
_WHITEOUT_META = b".wh..wh."  # aufs' own files; of them only the next means something to others
_OPAQUE = b".wh..wh..opq"

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PARENT = os.O_PATH | os.O_DIRECTORY
_UNKNOWN = b"\0"  # equals no path

# What the kernel answers to an entry that contradicts the archive; anything else is the host's.
_CONTRADICTIONS = frozenset(
    {errno.EEXIST, errno.EINVAL, errno.EISDIR, errno.ELOOP, errno.EMLINK}
    | {errno.ENAMETOOLONG, errno.ENOENT, errno.ENOTDIR, errno.EXDEV}
)


class LayerTree:
    """The directory of one layer while its archive is applied. Close it when done.

    `trash_fd` is a directory on the same filesystem for what an entry replaces; its owner empties it.
    """

    def __init__(self, root_fd: int, trash_fd: int) -> None:
        self.implicit: set[bytes] = {b""}  # directories that no entry describes (yet)
        self.size = 0  # bytes of all files
        self._root_fd = root_fd
        self._trash_fd = trash_fd
        self._trashed = 0
        self._times: dict[bytes, int] = {}  # of directories, in ns
        self._parent_path: bytes | None = None  # the parent used last stays open: most have siblings
        self._parent_fd = -1
        self._make: dict[str, Callable[[int, bytes, Entry], None]] = {
            "hardlink": self._hardlink,
            "symlink": _symlink,
            "char": _node,
            "block": _node,
            "fifo": _node,
        }

    def apply(self, entry: Entry, content: Iterable[memoryview]) -> None:
        """Make what the entry says. Raises MalformedContent; OSError when the host is at fault."""
        try:
            parts = _split(entry.unsafe_name)
            if parts:
                self._apply(entry, b"/".join(parts[:-1]), parts[-1], content)
            elif entry.kind == "directory":
                self._describe_directory(self._root_fd, b".", b"", entry)
        except OSError as error:
            if error.errno not in _CONTRADICTIONS:
                raise
            raise MalformedContent(f"tar entry {entry.unsafe_name!r}: {error.strerror}") from error

    def finish(self) -> None:
        """Set the directories' times, which everything made inside them has changed."""
        for path, mtime_ns in self._times.items():
            try:
                fd = open_beneath(self._root_fd, path or b".", _DIRECTORY)
            except OSError as error:  # a later entry took its place
                if error.errno not in _CONTRADICTIONS:
                    raise
                continue
            try:
                os.utime(fd, ns=(mtime_ns, mtime_ns))
            finally:
                os.close(fd)

    def close(self) -> None:
        self._forget_parent()

    def _apply(self, entry: Entry, parent: bytes, name: bytes, content: Iterable[memoryview]) -> None:
        parent_fd = self._open_parent(parent)
        if name.startswith(_WHITEOUT):
            self._whiteout(parent_fd, name)
        elif entry.kind == "directory":
            path = b"/".join(filter(None, (parent, name)))
            self._directory(parent_fd, name, path, entry)
        elif entry.kind == "file":
            self._file(parent_fd, name, entry, content)
        else:
            self._vacate(parent_fd, name)
            self._make[entry.kind](parent_fd, name, entry)

    # Parents.

    def _open_parent(self, path: bytes) -> int:
        """A descriptor of the directory, made with its own parents where the archive skipped it."""
        if path == self._parent_path:
            return self._parent_fd
        self._forget_parent()
        try:
            fd = open_beneath(self._root_fd, path or b".", _PARENT)
        except FileNotFoundError:
            fd = self._make_parents(path)
        self._parent_path, self._parent_fd = path, fd
        return fd

    def _make_parents(self, path: bytes) -> int:
        parts = path.split(b"/")
        fd = open_beneath(self._root_fd, b".", _PARENT)
        for depth in range(1, len(parts) + 1):
            prefix = b"/".join(parts[:depth])
            try:
                child = open_beneath(self._root_fd, prefix, _PARENT)
            except FileNotFoundError:
                child = self._make_parent(fd, parts[depth - 1])
                self.implicit.add(prefix)
            finally:
                os.close(fd)
            fd = child
        return fd

    @staticmethod
    def _make_parent(parent_fd: int, name: bytes) -> int:
        os.mkdir(name, 0o755, dir_fd=parent_fd)  # EEXIST: a symbolic link to nowhere
        os.chmod(name, 0o755, dir_fd=parent_fd)  # noqa: S103 - whatever the umask
        return os.open(name, _PARENT | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent_fd)

    def _forget_parent(self) -> None:
        if self._parent_path is not None:
            os.close(self._parent_fd)
            self._parent_path = None

    # What an entry replaces.

    def _vacate(self, parent_fd: int, name: bytes) -> None:
        """Remove what an earlier entry made under this name; paths through it resolve anew."""
        try:
            mode = os.stat(name, dir_fd=parent_fd, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return
        self._parent_path = _UNKNOWN
        if not stat.S_ISDIR(mode):
            os.unlink(name, dir_fd=parent_fd)
            return
        # A whole tree, maybe deep: out of the way in one call, and removed by the trash's owner.
        self._trashed += 1
        os.rename(name, f"replaced-{self._trashed}", src_dir_fd=parent_fd, dst_dir_fd=self._trash_fd)

    def _whiteout(self, parent_fd: int, name: bytes) -> None:
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
        except FileExistsError:
            # This layer's own file hides those below by itself; its directory would be merged.
            if stat.S_ISDIR(os.stat(hidden, dir_fd=parent_fd, follow_symlinks=False).st_mode):
                _make_opaque(parent_fd, hidden)

    # The kinds of entries.

    def _directory(self, parent_fd: int, name: bytes, path: bytes, entry: Entry) -> None:
        hides = False
        try:
            os.mkdir(name, 0o700, dir_fd=parent_fd)
        except FileExistsError:
            present = os.stat(name, dir_fd=parent_fd, follow_symlinks=False)
            if not stat.S_ISDIR(present.st_mode):
                hides = stat.S_ISCHR(present.st_mode) and present.st_rdev == 0
                self._vacate(parent_fd, name)
                os.mkdir(name, 0o700, dir_fd=parent_fd)
        self._describe_directory(parent_fd, name, path, entry)
        if hides:  # a whiteout was here: the directory is new, and not merged with one below
            _make_opaque(parent_fd, name)

    def _describe_directory(self, parent_fd: int, name: bytes, path: bytes, entry: Entry) -> None:
        fd = os.open(name, _DIRECTORY, dir_fd=parent_fd)
        try:
            _describe(fd, entry)
        finally:
            os.close(fd)
        self.implicit.discard(path)
        self._times[path] = entry.mtime_ns

    def _file(self, parent_fd: int, name: bytes, entry: Entry, content: Iterable[memoryview]) -> None:
        try:
            fd = os.open(name, _NEW_FILE, 0o600, dir_fd=parent_fd)
        except FileExistsError:
            self._vacate(parent_fd, name)
            fd = os.open(name, _NEW_FILE, 0o600, dir_fd=parent_fd)
        try:
            for chunk in content:
                _write(fd, chunk)
            _describe(fd, entry)
            os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))
        finally:
            os.close(fd)
        self.size += entry.size

    def _hardlink(self, parent_fd: int, name: bytes, entry: Entry) -> None:
        parts = _split(entry.unsafe_link)
        if not parts:
            raise MalformedContent(f"hard link {entry.unsafe_name!r} names no file")
        source_fd = open_beneath(self._root_fd, b"/".join(parts[:-1]) or b".", _PARENT)
        try:
            if stat.S_ISDIR(os.stat(parts[-1], dir_fd=source_fd, follow_symlinks=False).st_mode):
                raise MalformedContent(f"hard link {entry.unsafe_name!r} to a directory")
            os.link(parts[-1], name, src_dir_fd=source_fd, dst_dir_fd=parent_fd, follow_symlinks=False)
        finally:
            os.close(source_fd)


def _symlink(parent_fd: int, name: bytes, entry: Entry) -> None:
    if not entry.unsafe_link or b"\0" in entry.unsafe_link:
        raise MalformedContent(f"symbolic link {entry.unsafe_name!r} without a valid target")
    os.symlink(entry.unsafe_link, name, dir_fd=parent_fd)
    _own_by_name(parent_fd, name, entry)


def _node(parent_fd: int, name: bytes, entry: Entry) -> None:
    kind = {"char": stat.S_IFCHR, "block": stat.S_IFBLK, "fifo": stat.S_IFIFO}[entry.kind]
    os.mknod(name, kind | 0o600, os.makedev(*entry.device), dir_fd=parent_fd)
    _own_by_name(parent_fd, name, entry)
    # Not through a link: the name was made a node just now, by the only process that knows it.
    os.chmod(name, entry.mode, dir_fd=parent_fd)
    os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=parent_fd, follow_symlinks=False)


def _own_by_name(parent_fd: int, name: bytes, entry: Entry) -> None:
    os.chown(name, entry.uid, entry.gid, dir_fd=parent_fd, follow_symlinks=False)
    os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=parent_fd, follow_symlinks=False)


def _describe(fd: int, entry: Entry) -> None:
    # In this order: chown(2) clears setuid and setgid, and drops security.capability.
    os.fchown(fd, entry.uid, entry.gid)
    attributes.apply(fd, entry.xattrs)
    os.fchmod(fd, entry.mode)


def _make_opaque(parent_fd: int, name: bytes) -> None:
    fd = os.open(name, _DIRECTORY, dir_fd=parent_fd)
    try:
        attributes.make_opaque(fd)
    finally:
        os.close(fd)


def _write(fd: int, chunk: memoryview) -> None:
    while chunk:
        chunk = chunk[os.write(fd, chunk) :]


def _split(unsafe: bytes) -> list[bytes]:
    """The components of a name in the archive; a leading `/` or `./` says nothing."""
    parts = [part for part in unsafe.split(b"/") if part not in (b"", b".")]
    if b".." in parts or b"\0" in unsafe:
        raise MalformedContent(f"tar entry {unsafe!r} leads out of the layer")
    return parts
