"""Small processes that are nobody's: what each of them begins with, and how others see that it has ended."""

from __future__ import annotations

import fcntl
import os
import struct

from launcher.kernel import clone
from launcher.program.assembler import Label, Program

POLLFD = struct.Struct("=ihh")
STDIO = 3  # descriptors

_PR_SET_NAME = 15


def begin(program: Program, gone: Label, name: str, place: str) -> None:
    """Be a child of nobody, in a session of its own, called `name`, at `place`, with no input and output.

    `gone` is for whoever has started it, who is to end.
    """
    program.call("clone", *clone.FORK, 0, 0, 0, then=gone)
    program.call("setsid")
    program.call("prctl", _PR_SET_NAME, name.encode(), 0, 0, 0)
    program.call("chdir", os.fsencode(place), on=place)
    null = program.call("openat", -100, os.devnull.encode(), os.O_RDWR | os.O_CLOEXEC, 0, on=os.devnull)
    for number in range(STDIO):
        program.call("dup3", null, number, 0)


def is_locked(descriptor: int) -> bool:
    """Whether one that has the lock of this file is there; or else it is ours now: flock(2)."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
