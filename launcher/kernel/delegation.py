"""Cgroups of v2 that an ordinary user has been given: by Delegate= of systemd, or by an operator.

Whoever has one may make others in it, and hand on the controllers that it has: cgroup-v2.rst, "Delegation".
"""

from __future__ import annotations

import contextlib
import os

from launcher.kernel import files

_OWN = "/proc/self/cgroup"
_LARGEST = 1 << 16  # bytes
# What has to be the user's: cgroup-v2.rst, "Model of Delegation".
_OF_THE_USER = ("", "cgroup.procs", "cgroup.subtree_control")


def own_v2() -> str:
    """This process' cgroup of v2, below the mount point; empty at the top, and where there is no v2."""
    with contextlib.suppress(FileNotFoundError):  # a kernel without cgroups
        for line in files.read(_OWN, _LARGEST).decode().splitlines():
            if line.startswith("0::/"):
                return line.removeprefix("0::/")
    return ""


def delegated(mount_point: str) -> str | None:
    """The outermost cgroup around this process that is its user's, below the mount point; None: none is."""
    found, names = None, list(filter(None, own_v2().split("/")))
    while names and _is_writable(os.path.join(mount_point, *names)):
        found = "/".join(names)
        names.pop()
    return found


def _is_writable(cgroup: str) -> bool:
    return all(os.access(os.path.join(cgroup, name), os.W_OK) for name in _OF_THE_USER)
