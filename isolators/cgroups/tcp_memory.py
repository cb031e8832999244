"""What the kernel keeps for TCP connections on cgroup v1: counted beside the memory, by a limit of its own.

v2 counts it as memory. v1 counts it only in a cgroup that was given this limit, whichever, before the
connection was made; those above count it then, too. Without it a container keeps gigabytes of the host's in
connections to itself. So what may be taken is, at worst, the limit of memory once more.
See Documentation/admin-guide/cgroup-v1/memory.rst, section 2.7.
"""

from __future__ import annotations

import errno
import os

from isolators.cgroups.subsystem import gone_is_fine, nested_in
from launcher.kernel import cgroups
from launcher.kernel.cgroups import CgroupError

_FILE = "memory.kmem.tcp.limit_in_bytes"  # which kernels will do without some day
_NONE = "-1"


def limit(cgroup: str, size: int | None) -> None:
    """None: no limit. Raises CgroupError, as for one below what is used."""
    if not limit_new(cgroup, size):
        return
    for nested in nested_in(cgroup):
        with gone_is_fine():
            if not is_limited(nested):
                limit(nested, None)


def limit_new(cgroup: str, size: int | None) -> bool:
    """The same of a cgroup that has none in it. Returns whether the kernel counts. Raises CgroupError."""
    try:
        cgroups.write(cgroup, _FILE, _NONE if size is None else str(size))
    except CgroupError as error:
        if error.errno != errno.ENOENT:
            raise
        return False
    return True


def inherit(cgroup: str, top: str) -> None:
    """Have it count in a new cgroup, if it does in one above, below `top`. Raises CgroupError."""
    above = os.path.dirname(cgroup)
    while above != top and cgroups.has(above, _FILE) and not is_limited(above):
        above = os.path.dirname(above)
    if above != top and is_limited(above):
        limit_new(cgroup, None)


def is_limited(cgroup: str) -> bool:
    if not cgroups.has(cgroup, _FILE):
        return False
    return int(cgroups.read(cgroup, _FILE)) < 1 << 62  # as without: LONG_MAX, rounded to a page
