"""User namespaces: make one with its maps. See user_namespaces(7), "Defining user and group ID mappings".

A map is written once, in one write(2), by a process outside: so a helper is cloned into the new
namespace, and waits there until its maps are written and the namespace is held by a descriptor.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from collections.abc import Iterator, Sequence

from launcher.kernel import capabilities, clone
from launcher.kernel.libc import function
from launcher.kernel.namespaces import CLONE_FLAGS

_setfsuid = function("setfsuid", ctypes.c_uint)
_setfsgid = function("setfsgid", ctypes.c_uint)

Map = Sequence[tuple[int, int, int]]  # first id inside, first id outside, how many


def create(uid_map: Map, gid_map: Map) -> int:
    """A new user namespace with these maps, as a descriptor. Raises OSError.

    For a single-threaded process (launcher.kernel.clone) with CAP_SETUID and CAP_SETGID.
    """
    reader, writer = os.pipe2(os.O_CLOEXEC)
    pid, pidfd = clone.clone(CLONE_FLAGS["user"])
    if pid == 0:
        os.close(writer)
        os.read(reader, 1)  # until whoever holds the other end is gone, too
        os._exit(0)
    try:
        write_maps(pid, uid_map, gid_map)
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.waitpid(pid, 0)
        for descriptor in (reader, writer, pidfd):
            os.close(descriptor)


def write_maps(pid: int, uid_map: Map, gid_map: Map) -> None:
    """Map the ids of the user namespace that `pid` is in. Raises OSError."""
    if os.geteuid() != 0:
        # Who may map its own group only must first give up dropping groups: CVE-2014-8989.
        _write(f"/proc/{pid}/setgroups", "deny")
    _write(f"/proc/{pid}/gid_map", _text(gid_map))
    _write(f"/proc/{pid}/uid_map", _text(uid_map))


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


def _text(mapping: Map) -> str:
    return "".join(f"{inside} {outside} {count}\n" for inside, outside, count in mapping)


def _write(path: str, text: str) -> None:
    with open(path, "wb", buffering=0) as file:
        try:
            file.write(text.encode())
        except OSError as error:
            raise OSError(error.errno, f"{error.strerror} ({text.strip()!r})", path) from None
