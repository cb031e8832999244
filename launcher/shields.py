"""The child's part that hides and protects what the task must not touch, of the kernel most of all.

It is the same in every container: written once, it begins each launch program as its routine.
"""

from __future__ import annotations

import errno
import functools
import os
import struct
from fcntl import F_DUPFD_CLOEXEC

from launcher.program import mounts
from launcher.program.assembler import EMPTY, ROOT, Label, Program, Slot

COVER = ("ro", "nosuid", "nodev", "noexec")  # of what covers directories

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_MISSING = (errno.ENOENT, errno.ENOTDIR)
_NONE = struct.pack("=i", -1)  # a descriptor that there is not


@functools.lru_cache(maxsize=16)  # isolators give every container the same paths; nothing else counts
def shielded(readonly: tuple[str, ...], masked: tuple[str, ...]) -> Program:
    """A program that begins with what shields these paths below ROOT. To be copied.

    EMPTY is the mount of an empty directory by then.
    """

    def write(program: Program) -> None:
        for path in readonly:
            _protect(program, path)
        if masked:
            covers = _Covers(program)
            for path in masked:
                covers.mask(path)

    return Program.beginning_with("mount the filesystems", write)


def _protect(program: Program, path: str) -> None:
    """Make what is at `path`, and below it, read-only; a missing path is skipped."""
    skipped = Label()
    target = mounts.open_beneath(program, ROOT, path, tolerate=_MISSING, otherwise=skipped)
    tree = mounts.clone_tree(program, target, ("ro",), recursive=True, on=path)
    mounts.attach(program, tree, target, path)
    program.place(skipped)


class _Covers:
    """What hides the masked: a file behind /dev/null, a directory behind EMPTY."""

    def __init__(self, program: Program) -> None:
        self._program = program
        file = mounts.clone_tree(program, os.devnull, ("ro",), on=os.devnull)
        self._directory, self._file = _Cover(program, EMPTY), _Cover(program, file)

    def mask(self, path: str) -> None:
        skipped, file = Label(), Label()
        target = mounts.open_beneath(
            *(self._program, ROOT, path, _DIRECTORY),
            tolerate=(errno.ENOTDIR, errno.ENOENT),
            otherwise=file,
        )
        self._cover(self._directory, target, path, skipped)
        self._program.place(file)
        target = mounts.open_beneath(self._program, ROOT, path, tolerate=_MISSING, otherwise=skipped)
        self._cover(self._file, target, path, skipped)
        self._program.place(skipped)

    def _cover(self, cover: _Cover, target: Slot, path: str, done: Label) -> None:
        """The first takes what was made, the others copies of it."""
        first, program = Label(), self._program
        copy = mounts.clone_tree(program, cover.attached, on=path, tolerate=(errno.EBADF,), otherwise=first)
        mounts.attach(program, copy, target, path)
        program.jump(done)
        program.place(first)
        mounts.attach(program, cover.made, target, path)
        program.call("fcntl", cover.made, F_DUPFD_CLOEXEC, 0, on=path, store=cover.attached)
        program.jump(done)


class _Cover:
    """One of them. To let go of a mount that is attached nowhere takes a grace period of the kernel's."""

    def __init__(self, program: Program, made: Slot) -> None:
        self.made = made
        self.attached = Slot(program.buffer(_NONE, 4))  # its descriptor again, once it is
