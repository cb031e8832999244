"""User namespaces: make one with its maps. See user_namespaces(7), "Defining user and group ID mappings".

A map is written once, in one write(2), by a process outside: so a helper is cloned into the new
namespace, and waits there until its maps are written and the namespace is held by a descriptor.

Who has CAP_SETUID and CAP_SETGID maps any ids. Everyone may map themselves, and nobody else; the
programs newuidmap(1) and newgidmap(1) map for others what /etc/subuid and /etc/subgid give them.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import signal
from collections.abc import Iterator, Sequence

from launcher.kernel import capabilities, clone, prctl
from launcher.kernel.libc import function
from launcher.kernel.namespaces import CLONE_FLAGS

_setfsuid = function("setfsuid", ctypes.c_uint)
_setfsgid = function("setfsgid", ctypes.c_uint)

_LONGEST_TEXT = 1024  # bytes of what newuidmap says

Map = Sequence[tuple[int, int, int]]  # first id inside, first id outside, how many


def create(uid_map: Map, gid_map: Map) -> int:
    """A new user namespace with these maps, as a descriptor. Raises OSError.

    For a single-threaded process (launcher.kernel.clone). Without CAP_SETUID and CAP_SETGID the
    maps are limited as `write_maps` says.
    """
    reader, writer = os.pipe2(os.O_CLOEXEC)
    pid, pidfd = _clone_helper(reader, writer)
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
    """Map the ids of the user namespace that `pid`, a child of the caller's namespace, is in.

    Without CAP_SETUID or CAP_SETGID that goes for the caller itself, and for its subordinate ids
    where newuidmap(1) is installed. Raises OSError.
    """
    if capabilities.is_effective("CAP_SETGID"):
        _write(f"/proc/{pid}/gid_map", _text(gid_map))
    elif _is_own(gid_map, os.getegid()):
        # Who may map its own group only must first give up dropping groups: CVE-2014-8989.
        _write(f"/proc/{pid}/setgroups", "deny")
        _write(f"/proc/{pid}/gid_map", _text(gid_map))
    else:
        _run("newgidmap", pid, gid_map)
    if capabilities.is_effective("CAP_SETUID") or _is_own(uid_map, os.geteuid()):
        _write(f"/proc/{pid}/uid_map", _text(uid_map))
    else:
        _run("newuidmap", pid, uid_map)


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


def _clone_helper(reader: int, writer: int) -> tuple[int, int]:
    """(pid, pidfd) of a process in a new user namespace that waits for the end of the pipe."""
    show = not prctl.is_dumpable() and not capabilities.is_effective("CAP_SETUID")
    if show:
        prctl.show_to_ptrace()  # or the helper's /proc/<pid> would be root's, closed to us
    try:
        pid, pidfd = clone.clone(CLONE_FLAGS["user"])
        if pid == 0:
            os.close(writer)
            os.read(reader, 1)  # until whoever holds the other end is gone, too
            os._exit(0)
    finally:
        if show:
            prctl.hide_from_ptrace()
    return pid, pidfd


def _is_own(mapping: Map, own: int) -> bool:
    return len(mapping) == 1 and mapping[0][1:] == (own, 1)


def _run(program: str, pid: int, mapping: Map) -> None:
    """Have newuidmap(1) or newgidmap(1) write the map: it may, and looks up whether we may ask."""
    arguments = [str(number) for part in mapping for number in part]
    reader, writer = os.pipe2(os.O_CLOEXEC)
    with open(reader, "rb") as said:
        try:
            actions = [(os.POSIX_SPAWN_DUP2, writer, target) for target in (1, 2)]
            child = os.posix_spawnp(
                program, [program, str(pid), *arguments], os.environ, file_actions=actions
            )
        except FileNotFoundError as error:
            lacks = "not found; it maps other ids than the own (Debian package uidmap)"
            raise OSError(error.errno, lacks, program) from None
        finally:
            os.close(writer)
        text = said.read(_LONGEST_TEXT).decode(errors="replace").strip()
    if os.waitpid(child, 0)[1] != 0:
        raise OSError(errno.EPERM, text.removeprefix(f"{program}: ") or "it failed", program)


def _text(mapping: Map) -> str:
    return "".join(f"{inside} {outside} {count}\n" for inside, outside, count in mapping)


def _write(path: str, text: str) -> None:
    with open(path, "wb", buffering=0) as file:
        try:
            file.write(text.encode())
        except OSError as error:
            raise OSError(error.errno, f"{error.strerror} ({text.strip()!r})", path) from None
