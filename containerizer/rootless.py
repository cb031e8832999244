"""Without root: an ordinary user's own user namespace, in which it is root and all else works as for root.

    outside                          inside
    the user itself                  root
    its subordinate ids, subuid(5)   1, 2, 3 …

All commands of a user share one user namespace and one mount namespace: what one of them has made the
others find. A small process holds both; the first command starts it, and it stays until it is killed or
the user's processes are. Nothing on the host gets any privilege: the kernel checks each access by the ids
outside. See user_namespaces(7).
"""

from __future__ import annotations

import glob
import os
import pwd
import sys

from containerizer import checkpoint, liveness
from containerizer.paths import RECORD, ROOTLESS
from isolators.namespaces import subordinate_ids
from launcher import protocol, user_namespaces
from launcher.errors import ContainerizerError, InvalidRequest, LaunchFailed
from launcher.kernel import files, namespaces
from launcher.kernel.namespaces import CLONE_FLAGS
from launcher.program import mounts, runner
from launcher.program.assembler import CHANNEL, Label, Program
from launcher.program.messages import OPENED, tell
from launcher.user_namespaces import Map

_DIRECTORY = "rootless"
_PR_SET_NAME = 15
_EVERYTHING = 0xFFFFFFFF
_LOWEST_FD = 3


def enter(state: str) -> None:
    """Go on as root of the user's namespaces, which are made if they are not there.

    `state`: the user's state directory. Only with a single thread: setns(2). Raises LaunchFailed.
    """
    directory = os.path.join(state, _DIRECTORY)
    with files.locked(os.path.join(directory, "lock")):  # two commands must not make some of their own
        if pid := _holder(directory):
            _join(pid)
        elif pid := _survivor(state):
            _join(pid)
            _hold(directory)
        else:
            _join(_start(directory))


def join(state: str) -> bool:
    """The same, if the namespaces are there. Raises LaunchFailed."""
    pid = _holder(os.path.join(state, _DIRECTORY))
    if pid is not None:
        _join(pid)
    return pid is not None


def _holder(directory: str) -> int | None:
    """The pid of the process that holds the namespaces, if it is still that process."""
    known = checkpoint.read(os.path.join(directory, "holder.json")) or {}
    pid, started = known.get("pid"), known.get("started")
    return pid if isinstance(pid, int) and started and liveness.started_at(pid) == started else None


def _survivor(state: str) -> int | None:
    """The pid of a supervisor whose container runs on without the holder: it is in the namespaces, too."""
    for path in glob.glob(os.path.join(glob.escape(state), "containers", "*", RECORD)):
        known = checkpoint.read(path) or {}
        pid, started = known.get("supervisor"), known.get("supervisor_started")
        if isinstance(pid, int) and started and liveness.started_at(pid) == started:
            return pid
    return None


def _join(pid: int) -> None:
    uid, directory = os.geteuid(), os.getcwd()
    try:
        for kind in ("user", "mnt"):
            with open(f"/proc/{pid}/ns/{kind}", "rb") as namespace:
                namespaces.enter(namespace.fileno(), kind)
        os.chdir(directory)  # the mount namespace has put us at its root
    except OSError as error:
        raise LaunchFailed(f"cannot enter the user's namespaces: {error}") from error
    os.environ[ROOTLESS] = str(uid)


def _start(directory: str) -> int:
    """Start the process that makes and holds the namespaces. Raises LaunchFailed."""
    own_end, holders_end = protocol.channel()
    program = _making()
    try:
        with own_end:
            with holders_end:
                pid = runner.start_program(program, holders_end)
            runner.await_packet(program, own_end)  # it is in its user namespace
            user_namespaces.write_maps(pid, *_maps())
            own_end.send(bytes(1))
            runner.await_packet(program, own_end)  # and in its mount namespace
    except OSError as error:
        hint = "`containerizer doctor` says what is missing; or run it with sudo"
        raise LaunchFailed(f"cannot make a user namespace: {error}", hint=hint) from error
    _note(directory, pid)
    return pid


def _hold(directory: str) -> None:
    """Start a process that holds the namespaces that this one is in. Raises LaunchFailed."""
    own_end, holders_end = protocol.channel()
    program = Program()
    _stay(program)
    try:
        with own_end, holders_end:
            _note(directory, runner.start_program(program, holders_end))
    except OSError as error:
        raise LaunchFailed(f"cannot hold the user's namespaces: {error}") from error


def _note(directory: str, pid: int) -> None:
    holder = {"pid": pid, "started": liveness.started_at(pid)}
    checkpoint.write(os.path.join(directory, "holder.json"), holder)


def _making() -> Program:
    program, mapped = Program(), Label()
    program.call("unshare", CLONE_FLAGS["user"], on="user")
    tell(program, OPENED)
    program.call("read", CHANNEL, program.buffer(bytes(8)), 1, then=mapped)
    program.call("exit_group", 1)  # there are no maps: who started it has given up
    program.place(mapped)
    program.call("unshare", CLONE_FLAGS["mnt"], on="mnt")
    mounts.make_all_private(program)
    tell(program, OPENED)
    _stay(program)
    return program


def _stay(program: Program) -> None:
    """Of whoever has started it nothing is left in it: no session, directory or descriptor."""
    forever = Label()
    program.call("setsid")
    program.call("prctl", _PR_SET_NAME, b"ctz:rootless", 0, 0, 0)
    program.call("chdir", b"/")
    null = program.call("openat", -100, os.devnull.encode(), os.O_RDWR, 0, on=os.devnull)
    for descriptor in range(_LOWEST_FD):
        program.call("dup3", null, descriptor, 0)
    program.call("close_range", _LOWEST_FD, _EVERYTHING, 0)
    program.place(forever)
    program.call("ppoll", 0, 0, 0, 0, 0)
    program.jump(forever)


def _maps() -> tuple[Map, Map]:
    """Of users and groups: root is the user, the others are its subordinate ids as far as it has some."""
    uid, gid = os.geteuid(), os.getegid()
    try:
        users = _map(uid, subordinate_ids.SUBUID)
        groups = _map(gid, subordinate_ids.SUBGID)
    except ContainerizerError as error:
        told = f"{error}; until then containers have one user, root" if error.hint else str(error)
        print(f"containerizer: {told}", file=sys.stderr)
        return [(0, uid, 1)], [(0, gid, 1)]
    return users, groups


def _map(own: int, path: str) -> Map:
    parts, first = [(0, own, 1)], 1
    for each in subordinate_ids.of_user(_user(), path):
        parts.append((first, each.start, each.count))
        first += each.count
    return parts


def _user() -> str:
    uid = os.getuid()
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        raise InvalidRequest(f"user {uid} has no name in /etc/passwd, and so no subordinate ids") from None
