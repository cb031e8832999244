"""prctl(2) and close_range(2): what a process asks of the kernel about itself."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable

from launcher.kernel.libc import function, syscall

_PR_SET_PDEATHSIG = 1
_PR_GET_DUMPABLE = 3
_PR_SET_DUMPABLE = 4
_PR_SET_KEEPCAPS = 8
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38

_NR_CLOSE_RANGE = 436

_prctl = function("prctl", ctypes.c_int, *[ctypes.c_ulong] * 4)


def set_parent_death_signal(signal: int) -> None:
    """Be sent `signal` when the parent ends. Undone by a change of uid, gid or capabilities."""
    _prctl("PR_SET_PDEATHSIG", _PR_SET_PDEATHSIG, signal, 0, 0, 0)


def hide_from_ptrace() -> None:
    """Until execve(2), let nobody without CAP_SYS_PTRACE on the host trace this process, or follow
    the links of its /proc/<pid>.
    """
    _prctl("PR_SET_DUMPABLE", _PR_SET_DUMPABLE, 0, 0, 0, 0)


def show_to_ptrace() -> None:
    """Undo `hide_from_ptrace`, for those who have the same user."""
    _prctl("PR_SET_DUMPABLE", _PR_SET_DUMPABLE, 1, 0, 0, 0)


def is_dumpable() -> bool:
    """Whether neither `hide_from_ptrace` nor a change of user has hidden this process."""
    return _prctl("PR_GET_DUMPABLE", _PR_GET_DUMPABLE, 0, 0, 0, 0) == 1


def set_child_subreaper() -> None:
    """Become the parent of orphaned descendants."""
    _prctl("PR_SET_CHILD_SUBREAPER", _PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def keep_capabilities() -> None:
    """Let the next change from uid 0 to another leave the permitted set as it is."""
    _prctl("PR_SET_KEEPCAPS", _PR_SET_KEEPCAPS, 1, 0, 0, 0)


def set_name(name: str) -> None:
    """What ps shows as the command's name: 15 bytes, the rest is cut."""
    buffer = ctypes.create_string_buffer(os.fsencode(name)[:15])
    _prctl("PR_SET_NAME", _PR_SET_NAME, ctypes.addressof(buffer), 0, 0, 0)


def close_from(first: int) -> None:
    """Close every descriptor from `first` up."""
    close_range(first, 0xFFFFFFFF)


def close_but(kept: Iterable[int]) -> None:
    """Close every descriptor from 3 up but these."""
    first = 3
    for descriptor in sorted(kept):
        if descriptor > first:
            close_range(first, descriptor - 1)
        first = max(first, descriptor + 1)
    close_from(first)


def close_range(first: int, last: int) -> None:
    """Close every descriptor from `first` to `last`."""
    arguments = (ctypes.c_uint(number) for number in (first, last, 0))
    syscall("close_range", _NR_CLOSE_RANGE, f"from {first}", *arguments)
