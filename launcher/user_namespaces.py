"""User namespaces: make one with its maps. See user_namespaces(7), "Defining user and group ID mappings".

A map is written once, in one write(2), by a process outside: so a helper enters the new namespace, and
stays there until its maps are written and the namespace is held by a descriptor.

Who has CAP_SETUID and CAP_SETGID maps any ids. Everyone may map themselves, and nobody else; the
programs newuidmap(1) and newgidmap(1) map for others what /etc/subuid and /etc/subgid give them.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

from launcher import protocol
from launcher.kernel import capabilities, process
from launcher.kernel.namespaces import CLONE_FLAGS
from launcher.program import runner
from launcher.program.assembler import CHANNEL, Program
from launcher.program.messages import OPENED, tell

_LONGEST_TEXT = 1024  # bytes of what newuidmap says

Map = Sequence[tuple[int, int, int]]  # first id inside, first id outside, how many


def create(uid_map: Map, gid_map: Map) -> int:
    """A new user namespace with these maps, as a descriptor. Raises OSError.

    Without CAP_SETUID and CAP_SETGID the maps are limited as `write_maps` says.
    """
    program = Program()
    program.call("unshare", CLONE_FLAGS["user"], on="user")
    tell(program, OPENED)
    program.call("read", CHANNEL, program.buffer(bytes(8)), 8)  # until its end, ours too
    program.call("exit_group", 0)
    own_end, helper_end = protocol.channel()
    with own_end:
        with helper_end:
            pid = runner.start_program(program, helper_end)
        try:
            runner.await_packet(program, own_end)
            write_maps(pid, uid_map, gid_map)
            return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            own_end.close()
            process.collect(pid)


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
    status = process.collect(child)
    if status or (status is None and text):  # it says nothing where it succeeds
        raise OSError(errno.EPERM, text.removeprefix(f"{program}: ") or "it failed", program)


def _text(mapping: Map) -> str:
    return "".join(f"{inside} {outside} {count}\n" for inside, outside, count in mapping)


def _write(path: str, text: str) -> None:
    with open(path, "wb", buffering=0) as file:
        try:
            file.write(text.encode())
        except OSError as error:
            raise OSError(error.errno, f"{error.strerror} ({text.strip()!r})", path) from None
