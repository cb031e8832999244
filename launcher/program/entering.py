"""A program that executes another one in a container's namespaces, as a child of whoever has started it."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Sequence
from typing import TYPE_CHECKING

from launcher.kernel.namespaces import CLONE_FLAGS
from launcher.program.assembler import CHANNEL, PROGRAM, Label, Program
from launcher.program.messages import CLONED, PACKET

if TYPE_CHECKING:
    from launcher.launch_info import Hook

# The first owns the others: user_namespaces(7). The last changes the root.
_ORDER = ("user", "net", "ipc", "uts", "pid", "mnt")
_CLONE_PARENT = 0x00008000
_F_SETFD, _FD_CLOEXEC = 2, 1
_NUMBER = 8  # where it lies in PACKET
_EVERYTHING = 0xFFFFFFFF
_FORK = (0, _CLONE_PARENT | signal.SIGCHLD)
_FLAGS_FIRST = os.uname().machine != "s390x"  # clone(2), C library/kernel differences


def program(hook: Hook, files: Sequence[int], pid: int, opened: contextlib.ExitStack) -> Program:
    """It sends CLONED and the pid of the child, which has `files` as its stdin, stdout and stderr.

    `opened` keeps what it passes until it was started. Raises OSError.
    """
    written = Program()
    written.stage = f"run {hook.path}"
    entered = {}
    for kind in _ORDER:
        path = f"/proc/{pid}/ns/{kind}"
        if os.stat(path).st_ino != os.stat(f"/proc/self/ns/{kind}").st_ino:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            opened.callback(os.close, descriptor)
            entered[kind] = written.pass_descriptor(descriptor)
    stdio = [written.pass_descriptor(descriptor) for descriptor in files]
    for kind, descriptor in entered.items():
        written.call("setns", descriptor, CLONE_FLAGS[kind], on=f"the {kind} namespace")
    if "user" in entered:
        written.call("setresgid", 0, 0, 0)
        written.call("setresuid", 0, 0, 0)
    body, parent = written.buffer(PACKET.pack(CLONED, 0)), Label()
    fork = _FORK[::-1] if _FLAGS_FIRST else _FORK
    written.call("clone", *fork, 0, 0, 0, store=body + _NUMBER, then=parent)
    written.aside(parent, lambda: _tell(written, body))
    written.call("setsid")
    written.call("chdir", b"/")
    for place, descriptor in enumerate(stdio):
        written.call("dup3", descriptor, place, 0)
    written.call("fcntl", CHANNEL, _F_SETFD, _FD_CLOEXEC)
    written.call("close_range", PROGRAM, _EVERYTHING, 0)
    argv = written.pointers(map(os.fsencode, hook.argv or (hook.path,)))
    variables = written.pointers(map(os.fsencode, hook.environment))
    written.call("execve", os.fsencode(hook.path), argv, variables, on=hook.path)
    return written


def _tell(written: Program, body: int) -> None:
    written.call("write", CHANNEL, body, PACKET.size)
    written.call("exit_group", 0)
