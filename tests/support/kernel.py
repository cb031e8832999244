"""Calls of the kernel that only tests make of themselves: what a launcher does, a launch program does."""

from __future__ import annotations

import ctypes

from launcher.kernel.libc import function
from launcher.kernel.namespaces import CLONE_FLAGS

_PR_GET_DUMPABLE = 3
_PR_SET_DUMPABLE = 4
_PR_SET_KEEPCAPS = 8

_unshare = function("unshare", ctypes.c_int)
_setns = function("setns", ctypes.c_int, ctypes.c_int)
_prctl = function("prctl", ctypes.c_int, *[ctypes.c_ulong] * 4)


def unshare(kind: str) -> None:
    """Move the caller into a new namespace of this kind."""
    _unshare(kind, CLONE_FLAGS[kind])


def enter(namespace: int, kind: str) -> None:
    """Move the caller into the namespace of this descriptor."""
    _setns(kind, namespace, CLONE_FLAGS[kind])


def show_to_ptrace() -> None:
    """Undo what a change of user did: let those who have the same user look into /proc/<pid>."""
    _prctl("PR_SET_DUMPABLE", _PR_SET_DUMPABLE, 1, 0, 0, 0)


def is_dumpable() -> bool:
    return _prctl("PR_GET_DUMPABLE", _PR_GET_DUMPABLE, 0, 0, 0, 0) == 1


def keep_capabilities() -> None:
    """Let the next change from uid 0 to another leave the permitted set as it is."""
    _prctl("PR_SET_KEEPCAPS", _PR_SET_KEEPCAPS, 1, 0, 0, 0)
