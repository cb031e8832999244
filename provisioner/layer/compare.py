"""Compare a layer's directory with its archive: no name more or less, and each as it was described.

Contents are not looked at: the archive's digest tells of them (layer.skeleton). Nor are times, which
filesystems cut, and directories that no entry describes, which take after the layer below (layer.inherit).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

from launcher.kernel.safe_path import open_beneath
from provisioner.layer import attributes
from provisioner.layer.parents import split
from provisioner.layer.skeleton import LayerChanged
from provisioner.layer.stack import State, is_whiteout, shows, state_of
from provisioner.layer.tar import Entry

_PARENT = os.O_PATH | os.O_DIRECTORY
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_WHITEOUT = b".wh."
_CAPABILITY = "security.capability"
_FORMS = {
    "file": stat.S_IFREG,
    "symlink": stat.S_IFLNK,
    "char": stat.S_IFCHR,
    "block": stat.S_IFBLK,
    "directory": stat.S_IFDIR,
    "fifo": stat.S_IFIFO,
}


class Comparison:
    """Give it all entries of the archive to `look` at, then `finish`. Both raise LayerChanged, OSError."""

    def __init__(self, layer: str, root_fd: int, lowers: Sequence[str], *, partial: bool) -> None:
        """`layer` is its directory, and `root_fd` that too; `lowers` are the layers below, the topmost first.

        `partial`: the layer lacks what it takes root to make, owners among it.
        """
        self._layer = layer
        self._root_fd = root_fd
        self._lowers = lowers
        self._partial = partial
        self._inodes: set[int] = set()
        self._directories: dict[int, tuple[Entry, os.stat_result]] = {}  # by inode; the last entry counts

    def look(self, entry: Entry) -> None:
        *parents, name = split(entry.unsafe_name) or [b"."]
        try:
            parent = open_beneath(self._root_fd, b"/".join(parents) or b".", _PARENT)
            try:
                self._named(parent, name, entry)
            finally:
                os.close(parent)
        except FileNotFoundError:
            if not self._partial or entry.kind not in ("char", "block", "hardlink"):
                raise _changed(entry, "is not there") from None
        except OSError as error:
            raise _changed(entry, f"cannot be read: {error.strerror}") from error

    def finish(self) -> None:
        """No name is left that no entry made."""
        for entry, status in self._directories.values():
            self._describe(entry, status)
        pending = [b""]
        while pending:
            path = pending.pop()
            fd = open_beneath(self._root_fd, path or b".", _DIRECTORY, follow_symlinks=False)
            try:
                for name in map(os.fsencode, os.listdir(fd)):
                    full = path + b"/" + name if path else name
                    status = os.stat(name, dir_fd=fd, follow_symlinks=False)
                    if stat.S_ISDIR(status.st_mode):
                        pending.append(full)
                    elif status.st_ino not in self._inodes:
                        raise LayerChanged(f"{os.fsdecode(full)!r} was not in its archive")
            finally:
                os.close(fd)

    def _named(self, parent: int, name: bytes, entry: Entry) -> None:
        if name.startswith(_WHITEOUT):
            self._whiteout(parent, name, entry)
            return
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        self._inodes.add(status.st_ino)
        form = _FORMS.get(entry.kind)  # a hard link has that of its target, which was looked at
        if form is None:
            return
        if stat.S_IFMT(status.st_mode) != form:
            raise _changed(entry, f"is no {entry.kind}")
        if entry.kind == "directory":
            self._directories[status.st_ino] = entry, status
            return
        self._describe(entry, status)
        if entry.kind == "symlink" and os.readlink(name, dir_fd=parent) != entry.unsafe_link:
            raise _changed(entry, "leads elsewhere")
        if entry.xattrs and entry.kind == "file" and not self._partial:
            _compare_capability(parent, name, entry)

    def _whiteout(self, parent: int, name: bytes, entry: Entry) -> None:
        """One that hides nothing has been removed: layer.whiteouts."""
        if name.startswith(_WHITEOUT * 2):  # aufs' own; the marker of an opaque directory is an attribute
            return
        hidden = name.removeprefix(_WHITEOUT)
        try:
            status = os.stat(hidden, dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            *parents, _ = split(entry.unsafe_name)
            directory = b"/".join(parents)
            if state_of(self._layer, directory) is State.PLAIN and shows(self._lowers, directory, hidden):
                raise
        else:
            if is_whiteout(status):
                self._inodes.add(status.st_ino)

    def _describe(self, entry: Entry, status: os.stat_result) -> None:
        mode = stat.S_IMODE(status.st_mode)
        if self._partial:
            return
        if (status.st_uid, status.st_gid) != (entry.uid, entry.gid):
            raise _changed(entry, f"belongs to {status.st_uid}:{status.st_gid}, not {entry.uid}:{entry.gid}")
        if entry.kind != "symlink" and mode != entry.mode:
            raise _changed(entry, f"has the mode {mode:o}, not {entry.mode:o}")
        if entry.kind == "file" and status.st_size != entry.size:
            raise _changed(entry, f"has {status.st_size} bytes, not {entry.size}")
        if entry.kind in ("char", "block") and status.st_rdev != os.makedev(*entry.device):
            raise _changed(entry, "is another device")


def _compare_capability(parent: int, name: bytes, entry: Entry) -> None:
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
    try:
        if attributes.of(fd).get(_CAPABILITY) != entry.xattrs.get(_CAPABILITY):
            raise _changed(entry, "has other capabilities")
    finally:
        os.close(fd)


def _changed(entry: Entry, how: str) -> LayerChanged:
    return LayerChanged(f"{os.fsdecode(entry.unsafe_name)!r} {how}")
