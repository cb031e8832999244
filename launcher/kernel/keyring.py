"""keyctl(2): a session keyring of the task's own. See session-keyring(7).

A process inherits its parent's session keyring, across fork(2), execve(2), and into new namespaces
of every kind: without this, a task could read, use and revoke the keys of whoever launched it (of a
login: Kerberos tickets, keys of encrypted filesystems). A seccomp filter only hides them.
"""

from __future__ import annotations

import ctypes
import errno
import os

from launcher.kernel.libc import SyscallError, syscall

_KEYCTL_JOIN_SESSION_KEYRING = 1  # linux/keyctl.h
_KEYCTL = {"x86_64": 250, "aarch64": 219, "riscv64": 219, "ppc64le": 271, "s390x": 280}

# ENOSYS: a kernel without CONFIG_KEYS has no keys to inherit. EPERM: to join an anonymous keyring
# needs no privilege, so a filter that the task will have too forbids all of keyctl(2).
_NOTHING_TO_HIDE = (errno.ENOSYS, errno.EPERM)


def join_new_session_keyring() -> None:
    """Leave the inherited session keyring for an empty one that has no name, so nobody can join it.

    The kernel deletes it with its last process. It counts against the quota of the caller's user,
    which is far larger for root (/proc/sys/kernel/keys). Raises SyscallError (EDQUOT, ENOMEM).
    """
    number = _KEYCTL.get(os.uname().machine)
    if number is None:
        raise SyscallError("keyctl", errno.ENOSYS, os.uname().machine)
    try:
        syscall("keyctl", number, "session keyring", ctypes.c_int(_KEYCTL_JOIN_SESSION_KEYRING), None)
    except SyscallError as error:
        if error.errno not in _NOTHING_TO_HIDE:
            raise
