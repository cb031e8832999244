"""Metadata: how owners, modes, attributes and times get onto files, and what happens to those that cannot.

Without root's privileges nobody can make device nodes or give files away. Such an unpack goes on, as
tar's and Docker's do, and lists what it left out. Nothing becomes more powerful by that: a file that
stays its maker's loses setuid and setgid, or the image's programs would run as that user.
"""

from __future__ import annotations

import errno
import os
import stat

from launcher.kernel.process import is_rootless
from provisioner.layer import attributes
from provisioner.layer.tar import Entry

_SPECIAL = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX
_NAMED = 20  # of the names left out for one reason, how many are listed


class Skipped:
    """What a rootless unpack left out: for each reason a count, and the first names."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.names: dict[str, list[str]] = {}

    def add(self, reason: str, name: bytes) -> None:
        self.counts[reason] = self.counts.get(reason, 0) + 1
        names = self.names.setdefault(reason, [])
        if len(names) < _NAMED:
            names.append(os.fsdecode(name))

    def sentences(self) -> tuple[str, ...]:
        """One a reason, such as `3 device nodes: dev/null, dev/zero, dev/tty`."""
        return tuple(
            f"{count} {reason}: {', '.join(self.names[reason])}" + (", …" if count > _NAMED else "")
            for reason, count in self.counts.items()
        )


class Metadata:
    """Describes files that this process has just made. `umask` is its own, or more."""

    def __init__(self, *, umask: int, rootless: bool | None = None) -> None:
        self.skipped = Skipped()
        self.rootless = is_rootless() if rootless is None else rootless
        self._owner: tuple[int, int] | None = (os.geteuid(), os.getegid())  # of what we make
        self._not_at_open = _SPECIAL | umask  # mode bits that open(2) does not give, or write(2) takes

    def distrust_owners(self) -> None:
        """From here on a new file may have got its group from its directory."""
        self._owner = None

    def file(self, fd: int, entry: Entry, made_with: int | None = None) -> None:
        """Of a file or directory, its time included; `made_with` is the mode it was opened with."""
        mode = entry.mode
        # In this order: chown(2) clears setuid and setgid, and drops security.capability.
        if (entry.uid, entry.gid) != self._owner:
            mode = self._give(fd, entry)
        for name in attributes.apply(fd, entry.xattrs, lenient=self.rootless) if entry.xattrs else ():
            self.skipped.add(f"{name} attributes", entry.unsafe_name)
        if made_with is None or mode & self._not_at_open or mode != made_with:
            os.fchmod(fd, mode)
        os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))

    def named(self, parent_fd: int, name: bytes, entry: Entry) -> None:
        """Of what has no descriptor: owner and time of a link or node, and a node's mode."""
        mode = entry.mode
        if (entry.uid, entry.gid) != self._owner:
            mode = self._give(name, entry, parent_fd)
        if entry.kind != "symlink":
            # Not through a link: the name was made a node just now, by the only process that knows it.
            os.chmod(name, mode, dir_fd=parent_fd)
        os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=parent_fd, follow_symlinks=False)

    def _give(self, what: int | bytes, entry: Entry, parent_fd: int | None = None) -> int:
        """Change the owner; the mode that the file may then have."""
        try:
            if isinstance(what, int):
                os.fchown(what, entry.uid, entry.gid)
            else:
                os.chown(what, entry.uid, entry.gid, dir_fd=parent_fd, follow_symlinks=False)
        except OSError as error:
            # EINVAL: an id that the user namespace does not map.
            if not self.rootless or error.errno not in (errno.EPERM, errno.EINVAL):
                raise
            self.skipped.add("owners", entry.unsafe_name)
            if entry.kind != "directory" and entry.mode & (stat.S_ISUID | stat.S_ISGID):
                self.skipped.add("setuid or setgid bits", entry.unsafe_name)
            return entry.mode & ~(stat.S_ISUID | stat.S_ISGID)
        return entry.mode
