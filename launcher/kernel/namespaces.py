"""Namespaces: the kinds, their clone flags, unshare(2) and setns(2). See namespaces(7)."""

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

_NS_GET_NSTYPE = 0xB703  # linux/nsfs.h

_unshare = function("unshare", ctypes.c_int)
_setns = function("setns", ctypes.c_int, ctypes.c_int)
_sethostname = function("sethostname", ctypes.c_char_p, ctypes.c_size_t)


def kind_of(descriptor: int) -> str | None:
    """The kind of the namespace that this is a descriptor of; None if it is of something else."""
    try:
        flag = fcntl.ioctl(descriptor, _NS_GET_NSTYPE)
    except OSError as error:
        if error.errno not in (errno.ENOTTY, errno.EINVAL):
            raise
        return None
    return next((kind for kind, own in CLONE_FLAGS.items() if own == flag), None)


def unshare(kind: str) -> None:
    """Move the caller into a new namespace of this kind. Raises SyscallError."""
    _unshare(kind, CLONE_FLAGS[kind])


def enter(namespace: int, kind: str, name: str) -> None:
    """Move the caller (kind "pid": its future children) into the namespace of this descriptor.

    `name` is for the error. Raises SyscallError.
    """
    _setns(name, namespace, CLONE_FLAGS[kind])
