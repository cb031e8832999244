"""Namespaces: the kinds, their clone flags, unshare(2) and setns(2). See namespaces(7)."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Mapping

from launcher.kernel.libc import function

# linux/sched.h. The key is the name under /proc/<pid>/ns.
CLONE_FLAGS = {
    "mnt": 0x00020000,
    "cgroup": 0x02000000,
    "uts": 0x04000000,
    "ipc": 0x08000000,
    "user": 0x10000000,
    "pid": 0x20000000,
    "net": 0x40000000,
    "time": 0x00000080,
}

_unshare = function("unshare", ctypes.c_int)
_setns = function("setns", ctypes.c_int, ctypes.c_int)
_sethostname = function("sethostname", ctypes.c_char_p, ctypes.c_size_t)


def unshare(kind: str) -> None:
    """Move the caller into a new namespace of this kind. Raises SyscallError."""
    _unshare(kind, CLONE_FLAGS[kind])


def join(paths: Mapping[str, str]) -> None:
    """Move the caller (kind "pid": its future children) into the namespace at each kind's path.

    All are opened before the first is joined: seen from another mount namespace, the paths lead to
    what somebody put there. Raises OSError.
    """
    with contextlib.ExitStack() as opened:
        descriptors = {}
        for kind, path in paths.items():
            descriptors[kind] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            opened.callback(os.close, descriptors[kind])
        for kind, descriptor in descriptors.items():
            _setns(paths[kind], descriptor, CLONE_FLAGS[kind])


def set_hostname(hostname: str) -> None:
    """Name the host of the caller's UTS namespace. Raises SyscallError."""
    name = hostname.encode()
    _sethostname(hostname, name, len(name))
