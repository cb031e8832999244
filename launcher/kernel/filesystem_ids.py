"""setfsuid(2) and setfsgid(2): make and open files as another user, with all privileges of our own."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator

from launcher.kernel import capabilities
from launcher.kernel.libc import function

_setfsuid = function("setfsuid", ctypes.c_uint)
_setfsgid = function("setfsgid", ctypes.c_uint)


@contextlib.contextmanager
def filesystem_ids(uid: int, gid: int) -> Iterator[None]:
    """Make and open files as another user, with all privileges that the caller has: setfsuid(2).

    Through an idmapped mount an id that is not mapped can make nothing, root's among them. What is
    mounted meanwhile goes on with these ids.
    """
    effective, permitted, inheritable = capabilities.get_capabilities()
    _setfsgid(str(gid), gid)
    _setfsuid(str(uid), uid)
    try:
        capabilities.set_capabilities(effective, permitted, inheritable)  # which it has lowered
        yield
    finally:
        _setfsuid("0", 0)
        _setfsgid("0", 0)
