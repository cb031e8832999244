"""The fork server of machines, a machine itself: it forks, and what it has forked reads a launch program.

    launcher                         fork server                         supervisor
       |-- a byte + channel + program -->|                                    |
       |                                 |-- clone(2) ----------------------->| reads the program,
       |                                 | closes both                        | and begins with it
       |<-- NOT_STARTED, if that fails --|                                    |

A supervisor is executed no more, nor cleans up after an interpreter: it begins as a copy of a process
that has a few pages, and nothing in them but this program. It has to put its own program in the place of
the one that it is running. So the calls that do that, the loader, are out of its way: above all
instructions, where no program reaches.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
from collections.abc import Sequence

from launcher import protocol
from launcher.data import Data
from launcher.forkserver_client import ForkServer
from launcher.kernel import memfd, process
from launcher.kernel.libc import AT_FDCWD
from launcher.program import machine
from launcher.program.assembler import (
    ANY,
    CHANNEL,
    DATA,
    FIRST_STDIO,
    INSTRUCTION,
    INSTRUCTIONS,
    LOADER,
    LOADER_SIZE,
    MAX_DATA,
    PROGRAM,
    Label,
    Program,
)
from launcher.program.messages import not_started, receiver
from launcher.program.numbers import NUMBERS
from launcher.program.start import Command, start

_NAME = b"ctz:forkserver"
_PR_SET_NAME = 15
_SIGNAL_SET = 8  # bytes
_SIG_IGN = (1).to_bytes(8, "little") + bytes(24)  # struct sigaction of the kernel's
_SIG_DFL = bytes(32)
_EVERYTHING = 0xFFFFFFFF
_MSG_NOSIGNAL, _MSG_CMSG_CLOEXEC = 0x4000, 0x40000000


class MachineServer(ForkServer):
    """Starts supervisors that are machines."""

    def __init__(self) -> None:
        """Raises OSError where there can be no machine."""
        super().__init__()
        self._executable = machine.make()
        self._pid: int | None = None

    @property
    def pid(self) -> int | None:
        return self._pid

    def close(self) -> None:
        super().close()
        if self._executable >= 0:
            os.close(self._executable)
            self._executable = -1

    def _execute(self, end: socket.socket) -> None:
        program = memfd.holding("program", assembled())
        try:
            command = Command(f"/proc/self/fd/{self._executable}", machine.ARGV, descriptor=self._executable)
            self._pid = start(command, {CHANNEL: end.fileno(), PROGRAM: program}, fresh=True, apart=True)
        finally:
            os.close(program)

    def _collect(self) -> None:
        if self._pid is not None:
            process.collect(self._pid)
            self._pid = None

    def _ask(self, requests: socket.socket, request: Data, descriptors: Sequence[int]) -> None:
        """Of the request the machine needs to know nothing."""
        protocol.post(requests, b"\0", *descriptors)


def assembled() -> bytes:
    """Its program, and the loader behind."""
    program = Program()
    size = program.buffer(bytes(8))
    _settle(program)
    _serve(program)
    return program.assemble() + _loader(size)


def _settle(program: Program) -> None:
    """Put the loader into its place, and leave the launcher's directory and descriptors."""
    program.call("lseek", PROGRAM, -LOADER_SIZE, os.SEEK_END)
    program.call("read", PROGRAM, LOADER, LOADER_SIZE)
    program.call("close_range", FIRST_STDIO, _EVERYTHING, 0)
    null = program.call("openat", AT_FDCWD, os.devnull.encode(), os.O_RDWR)
    for descriptor in range(3):
        program.call("dup3", null, descriptor, 0, tolerate=(errno.EINVAL,))  # it is the same already
    program.call("close_range", FIRST_STDIO, _EVERYTHING, 0)
    program.call("chdir", b"/")
    program.call("prctl", _PR_SET_NAME, _NAME, 0, 0, 0)
    # Supervisors that end are collected by the kernel.
    program.call("rt_sigaction", signal.SIGCHLD, program.constant(_SIG_IGN), 0, _SIGNAL_SET)


def _serve(program: Program) -> None:
    """Start a supervisor for each request, until the launcher has gone."""
    again, come, whole, parent, failed, loader = (Label() for _ in range(6))
    loader.address = LOADER
    received = receiver(program, 2)
    channel, memory = received.descriptors
    program.place(again)
    program.call("recvmsg", CHANNEL, received.header, _MSG_CMSG_CLOEXEC, then=come)
    program.call("exit_group", 0)
    program.place(come)
    # The kernel has written how long what came beside it is; there is no call to compare, but one that
    # returns what it is given.
    told = {"then": whole, "equals": program.constant(received.size.to_bytes(4, "little"), 4)}
    program.call("lseek", PROGRAM, received.told, os.SEEK_SET, **told)  # type: ignore[arg-type]
    program.call("exit_group", 1)
    program.place(whole)
    forking = {"then": parent, "tolerate": (ANY,), "otherwise": failed}
    forked = program.call("clone", signal.SIGCHLD, 0, 0, 0, 0, **forking)  # type: ignore[arg-type]
    program.call("dup3", channel, CHANNEL, os.O_CLOEXEC)
    program.call("dup3", memory, PROGRAM, os.O_CLOEXEC)
    program.call("rt_sigaction", signal.SIGCHLD, program.constant(_SIG_DFL), 0, _SIGNAL_SET)
    program.jump(loader)
    program.place(failed)
    program.call("sendmsg", channel, not_started(program, forked), _MSG_NOSIGNAL, tolerate=(ANY,))
    program.place(parent)
    program.call("close", channel)
    program.call("close", memory)
    program.jump(again)


def _loader(size: int) -> bytes:
    """As the machine begins: how long the instructions are, they, and the data; then to the first one."""
    return (
        _read(size, 8) + _read(INSTRUCTIONS, size, indirect=True) + _read(DATA, MAX_DATA, then=INSTRUCTIONS)
    )


def _read(place: int, size: int, *, indirect: bool = False, then: int = 0) -> bytes:
    arguments = PROGRAM, place, size, 0, 0, 0
    return INSTRUCTION.pack(NUMBERS["read"], indirect << 2, *arguments, 0, 0, then, 0, 0, 0, 0, 0, 0)
