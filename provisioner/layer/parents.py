"""Parents: the open directories that an archive's entries go into, made where it skipped them.

Opening one costs more than making a file in it, and most entries have siblings: so the last ones
stay open, under the very words that the archive used for them. Every descriptor came from
`open_beneath`, so none is outside of the layer; `forget` drops them all when a directory or a link
on the way is replaced.
"""

from __future__ import annotations

import os

from launcher.kernel.safe_path import open_beneath
from provisioner.layer.stream import MalformedContent

_PARENT = os.O_PATH | os.O_DIRECTORY
_OPEN = 64  # descriptors: several layers are unpacked at once, and a process may have 1024
_IMPLICIT = 100_000  # directories that no entry describes; an entry can make two thousand


class Parents:
    """The directories below one root, whose descriptor stays the caller's."""

    def __init__(self, root_fd: int) -> None:
        self.implicit: set[bytes] = {b""}  # directories that no entry describes (yet)
        self._root_fd = root_fd
        self._open: dict[bytes, tuple[int, bytes]] = {}

    def locate(self, unsafe_name: bytes) -> tuple[int, bytes, bytes] | None:
        """The parent's descriptor and path, and the last name; None for the root itself.

        The path has neither `.` nor a slash too many, and is b"" for the root. Raises
        MalformedContent for a name that leads out, OSError.
        """
        directory, _, last = unsafe_name.rpartition(b"/")
        found = self._open.get(directory)
        if found and last not in (b"", b".", b"..") and b"\0" not in last:
            return *found, last
        parts = split(unsafe_name)
        if not parts:
            return None
        path = b"/".join(parts[:-1])
        # In `a/b/.` what comes before the last slash is not the parent.
        fd = self._keep(directory if parts[-1] == last else path, path)
        return fd, path, parts[-1]

    def _keep(self, key: bytes, path: bytes) -> int:
        """Open the directory, and keep it under the key until it is the oldest."""
        if key in self._open:
            return self._open[key][0]
        fd = self._make(path)
        if len(self._open) >= _OPEN:
            os.close(self._open.pop(next(iter(self._open)))[0])
        self._open[key] = fd, path
        return fd

    def forget(self) -> None:
        """Close them all: paths resolve anew from here on."""
        while self._open:
            os.close(self._open.popitem()[1][0])

    def _make(self, path: bytes) -> int:
        """Open the directory, with its own parents made where they are missing."""
        parts = path.split(b"/") if path else []
        fd, found = self._deepest(parts)
        for depth in range(found + 1, len(parts) + 1):
            try:
                child = self._make_one(fd, b"/".join(parts[:depth]), parts[depth - 1])
            finally:
                os.close(fd)
            fd = child
        return fd

    def _deepest(self, parts: list[bytes]) -> tuple[int, int]:
        """The innermost directory on the way that is there, and its depth."""
        for depth in range(len(parts), 0, -1):
            try:
                return open_beneath(self._root_fd, b"/".join(parts[:depth]), _PARENT), depth
            except FileNotFoundError:
                continue
        return open_beneath(self._root_fd, b".", _PARENT), 0

    def _make_one(self, parent_fd: int, path: bytes, name: bytes) -> int:
        if len(self.implicit) >= _IMPLICIT:
            raise MalformedContent(f"more than {_IMPLICIT} directories without an entry")
        os.mkdir(name, 0o755, dir_fd=parent_fd)  # EEXIST: a symbolic link to nowhere
        os.chmod(name, 0o755, dir_fd=parent_fd)  # noqa: S103 - whatever the umask
        self.implicit.add(path)
        return os.open(name, _PARENT | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent_fd)


def split(unsafe: bytes) -> list[bytes]:
    """The components of a name in the archive; a leading `/` or `./` says nothing."""
    parts = [part for part in unsafe.split(b"/") if part not in (b"", b".")]
    if b".." in parts or b"\0" in unsafe:
        raise MalformedContent(f"tar entry {unsafe!r} leads out of the layer")
    return parts
