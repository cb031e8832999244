"""Namespaces: the kinds, and their clone flags. See namespaces(7)."""

from __future__ import annotations

import ctypes
import errno
import fcntl

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

_setns = function("setns", ctypes.c_int, ctypes.c_int)

_NS_GET_NSTYPE = 0xB703  # linux/nsfs.h


def enter(descriptor: int, kind: str) -> None:
    """Enter the namespace: setns(2). A user namespace only with a single thread. Raises OSError."""
    _setns(f"{kind} namespace", descriptor, CLONE_FLAGS[kind])


def kind_of(descriptor: int) -> str | None:
    """The kind of the namespace that this is a descriptor of; None if it is of something else."""
    try:
        flag = fcntl.ioctl(descriptor, _NS_GET_NSTYPE)
    except OSError as error:
        if error.errno not in (errno.ENOTTY, errno.EINVAL):
            raise
        return None
    return next((kind for kind, own in CLONE_FLAGS.items() if own == flag), None)
