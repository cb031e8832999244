"""Place: a directory that fetched files go into, by entries as the reader of archives makes them.

Each name is resolved by the kernel beneath the directory (provisioner.layer.tree), so neither `..`
nor a symbolic link of an archive leads out of it. All becomes the owner's, and nothing keeps the
powers that an archive may give: no setuid, no devices, no extended attributes.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable

from launcher.data import Data
from launcher.kernel.safe_path import open_beneath
from launcher.remove_tree import remove_tree
from provisioner.layer.metadata import Metadata
from provisioner.layer.stream import MalformedContent
from provisioner.layer.tar import Entry
from provisioner.layer.tree import LayerTree
from provisioner.store.locks import try_lock

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_KINDS = ("file", "directory", "symlink", "hardlink")
_WHITEOUT = b".wh."


class Owner(Data):
    """Whose the files are, by the ids that the disk has. None: this process' own."""

    uid: int
    gid: int


class Place:
    """Close it by its context; `finish` comes before that."""

    def __init__(self, directory: str, scratch: str, owner: Owner | None) -> None:
        """`scratch` is a directory on the same filesystem, which nothing else is in."""
        self._owner = owner or Owner(os.geteuid(), os.getegid())
        self._trash, self._trash_fd = _new_directory(scratch)
        self._root_fd = os.open(directory, _DIRECTORY)
        self._tree = LayerTree(self._root_fd, self._trash_fd, Metadata(umask=0o777))

    def __enter__(self) -> Place:
        return self

    def __exit__(self, *_: object) -> None:
        self._tree.close()
        os.close(self._root_fd)
        os.close(self._trash_fd)
        remove_tree(self._trash)

    def put(self, entry: Entry, content: Iterable[memoryview], below: bytes = b"") -> None:
        """Make what the entry says, in a directory `below`. Raises MalformedContent, OSError."""
        name = os.fsdecode(entry.unsafe_name)
        if entry.kind not in _KINDS:
            raise MalformedContent(f"{name!r} is a {_WORDS[entry.kind]}, which nobody gets this way")
        if entry.unsafe_name.rstrip(b"/").rpartition(b"/")[2].startswith(_WHITEOUT):
            raise MalformedContent(f"{name!r} has a name that only layers of images have")
        if not entry.unsafe_name.strip(b"./") and entry.kind == "directory":
            return  # the top itself is ours
        self._tree.apply(self._ours(entry, below), content)

    def finish(self) -> None:
        """Describe the directories. Raises OSError."""
        implicit = sorted(self._tree.implicit - {b""})
        self._tree.finish()
        for path in implicit:
            fd = open_beneath(self._root_fd, path, _DIRECTORY)
            try:
                os.fchown(fd, self._owner.uid, self._owner.gid)
            finally:
                os.close(fd)

    def _ours(self, entry: Entry, below: bytes) -> Entry:
        link = entry.unsafe_link
        if below and entry.kind == "hardlink":
            link = below + b"/" + link
        return entry._replace(
            unsafe_name=below + b"/" + entry.unsafe_name if below else entry.unsafe_name,
            unsafe_link=link,
            mode=entry.mode & 0o777,
            uid=self._owner.uid,
            gid=self._owner.gid,
            xattrs={},
        )


def _new_directory(scratch: str) -> tuple[str, int]:
    """A directory, and a locked descriptor of it: one that is not locked was left by a killed process."""
    os.makedirs(scratch, mode=0o700, exist_ok=True)
    for name in os.listdir(scratch):
        _remove_unheld(f"{scratch}/{name}")
    while True:
        path = f"{scratch}/{os.urandom(8).hex()}"
        os.mkdir(path, 0o700)
        with contextlib.suppress(FileNotFoundError):  # swept away by another one, just now
            fd = os.open(path, _DIRECTORY)
            if try_lock(fd) and os.path.exists(path):
                return path, fd
            os.close(fd)


def _remove_unheld(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        fd = os.open(path, _DIRECTORY)
        try:
            if try_lock(fd):
                remove_tree(path)
        finally:
            os.close(fd)


_WORDS = {"char": "device", "block": "device", "fifo": "named pipe"}


def file_entry(name: str, mode: int, mtime_ns: int, kind: str = "file", link: bytes = b"") -> Entry:
    """An entry that no archive has described."""
    return Entry(
        kind=kind,
        unsafe_name=os.fsencode(name),
        unsafe_link=link,
        mode=mode,
        uid=0,
        gid=0,
        size=0,
        mtime_ns=mtime_ns,
        device=(0, 0),
        xattrs={},
    )
