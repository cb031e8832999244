"""A program that executes another one in a container's namespaces, as a child of whoever has started it.

One of the host has the host's privileges there. One of the container's is the image's, which may have been
made to escape: it is limited and filtered as the task is, before it is executed.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Sequence
from typing import TYPE_CHECKING

from launcher.credential_steps import (
    forbid_new_privileges,
    load_filter,
    load_filter_with_privileges,
    take_credentials,
)
from launcher.data import Data
from launcher.kernel import cgroups, keyring
from launcher.kernel.namespaces import CLONE_FLAGS
from launcher.program.assembler import CHANNEL, PROGRAM, Label, Program
from launcher.program.files import write_file
from launcher.program.messages import CLONED, PACKET

if TYPE_CHECKING:
    from launcher.hooks import Inside
    from launcher.launch_info import Hook, LaunchInfo
    from launcher.user import User

# The first owns the others: user_namespaces(7). The last changes the root.
_ORDER = ("user", "net", "ipc", "uts", "mnt")
_CLONE_PARENT = 0x00008000
_PR_SET_DUMPABLE = 4
_F_SETFD, _FD_CLOEXEC = 2, 1
_NUMBER = 8  # where it lies in PACKET
_EVERYTHING = 0xFFFFFFFF
_FORK = (0, _CLONE_PARENT | signal.SIGCHLD)
_FLAGS_FIRST = os.uname().machine != "s390x"  # clone(2), C library/kernel differences


class _Hook(Data):
    """As launcher.credential_steps have it."""

    program: Program
    info: LaunchInfo
    user: User


def program(hook: Hook, files: Sequence[int], inside: Inside, opened: contextlib.ExitStack) -> Program:
    """It sends CLONED and the pid of the child, which has `files` as its stdin, stdout and stderr.

    `opened` keeps what it passes until it was started. Raises OSError.
    """
    written = Program()
    written.stage = f"run {hook.path}"
    of_image = hook.point == "startContainer"
    kinds = ("pid", *(("cgroup",) if of_image else ()), *_ORDER)
    entered = {kind: _passed(written, inside.pid, kind, opened) for kind in kinds}
    stdio = [written.pass_descriptor(descriptor) for descriptor in files]
    _clone(written, entered.pop("pid"))
    if of_image:
        _share_limits(written, inside.info)
    for kind, descriptor in entered.items():
        _enter(written, kind, descriptor)
        if kind == "user" and descriptor is not None:
            written.call("setresgid", 0, 0, 0)
            written.call("setresuid", 0, 0, 0)
    written.call("setsid")
    written.call("chdir", b"/")
    for place, descriptor in enumerate(stdio):
        written.call("dup3", descriptor, place, 0)
    written.call("fcntl", CHANNEL, _F_SETFD, _FD_CLOEXEC)
    written.call("close_range", PROGRAM, _EVERYTHING, 0)
    if of_image:
        _give_up_privileges(_Hook(written, inside.info, inside.user))
    argv = written.pointers(map(os.fsencode, hook.argv or (hook.path,)))
    variables = written.pointers(map(os.fsencode, hook.environment))
    written.call("execve", os.fsencode(hook.path), argv, variables, on=hook.path)
    return written


def _passed(written: Program, pid: int, kind: str, opened: contextlib.ExitStack) -> int | None:
    """The machine's descriptor of that process's namespace; None if it is ours too."""
    path = f"/proc/{pid}/ns/{kind}"
    if os.stat(path).st_ino == os.stat(f"/proc/self/ns/{kind}").st_ino:
        return None
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    opened.callback(os.close, descriptor)
    return written.pass_descriptor(descriptor)


def _enter(written: Program, kind: str, descriptor: int | None) -> None:
    if descriptor is not None:
        written.call("setns", descriptor, CLONE_FLAGS[kind], on=f"the {kind} namespace")


def _clone(written: Program, pid_namespace: int | None) -> None:
    """All that follows is the child's: it is born in the PID namespace, and nothing else has changed yet.

    Others may be in that namespace: they see nothing of it until it executes, prctl(2).
    """
    written.call("prctl", _PR_SET_DUMPABLE, 0, 0, 0, 0)
    _enter(written, "pid", pid_namespace)
    body, parent = written.buffer(PACKET.pack(CLONED, 0)), Label()
    fork = _FORK[::-1] if _FLAGS_FIRST else _FORK
    written.call("clone", *fork, 0, 0, 0, store=body + _NUMBER, then=parent)
    written.aside(parent, lambda: _tell(written, body))


def _share_limits(written: Program, info: LaunchInfo) -> None:
    """The task's, while the host's cgroupfs is in sight; and none of our keys, as launcher.child."""
    for cgroup in info.cgroups_v1:
        write_file(written, f"{cgroup}/tasks", b"0")
    if info.cgroup_v2 is not None:
        write_file(written, f"{cgroups.home(info.cgroup_v2)}/cgroup.procs", b"0")
    joined = keyring.JOIN_SESSION_KEYRING
    written.call("keyctl", joined, 0, on="session keyring", tolerate=keyring.NOTHING_TO_HIDE)


def _give_up_privileges(own: _Hook) -> None:
    """As the task does it, in the order of launcher.child.STEPS."""
    load_filter_with_privileges(own)
    take_credentials(own)
    forbid_new_privileges(own)
    load_filter(own)


def _tell(written: Program, body: int) -> None:
    written.call("write", CHANNEL, body, PACKET.size)
    written.call("exit_group", 0)
