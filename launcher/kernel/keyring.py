"""keyctl(2): what a session keyring of the task's own takes. See session-keyring(7).

A process inherits its parent's session keyring, across fork(2), execve(2), and into new namespaces
of every kind: without one of its own, a task could read, use and revoke the keys of whoever launched it
(of a login: Kerberos tickets, keys of encrypted filesystems). A seccomp filter only hides them.

The new one is empty and has no name, so nobody can join it; the kernel deletes it with its last process.
It counts against the quota of the caller's user, which is far larger for root (/proc/sys/kernel/keys).
"""

from __future__ import annotations

import errno

JOIN_SESSION_KEYRING = 1  # linux/keyctl.h: KEYCTL_JOIN_SESSION_KEYRING

# ENOSYS: a kernel without CONFIG_KEYS has no keys to inherit. EPERM: to join an anonymous keyring
# needs no privilege, so a filter that the task will have too forbids all of keyctl(2).
NOTHING_TO_HIDE = (errno.ENOSYS, errno.EPERM)
