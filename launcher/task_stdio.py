"""The child's part of the task's stdio: its terminal, and whose the ends are."""

from __future__ import annotations

import os
import struct
import termios

from launcher.kernel import terminal
from launcher.kernel.libc import AT_FDCWD
from launcher.program import mounts
from launcher.program.assembler import ALIVE, ANY, Label, Program
from launcher.program.messages import TERMINAL_OPENED, message_with_descriptor
from launcher.stdio import Pipes, Terminal
from launcher.user import User

_PTMX = b"/dev/ptmx"
_CONSOLE = "/dev/console"
_NOCTTY = os.O_NOCTTY | os.O_CLOEXEC


def open_terminal(program: Program, asked: Terminal, link: int, *, contained: bool) -> None:
    """Make a terminal the session's controlling one and our stdio, and send its master to the relay.

    It is one of the devpts at /dev/pts: the container's own if it is `contained` in a root
    filesystem of its own, where it then is /dev/console as well, and otherwise the host's.
    """
    sent = message_with_descriptor(program, TERMINAL_OPENED)
    master = program.call(
        "openat", AT_FDCWD, _PTMX, os.O_RDWR | os.O_NONBLOCK | _NOCTTY, on="/dev/ptmx", store=sent.descriptor
    )
    program.call("ioctl", master, terminal.TIOCSPTLCK, program.constant(bytes(4)), on="/dev/ptmx")
    slave = program.call("ioctl", master, terminal.TIOCGPTPEER, os.O_RDWR | _NOCTTY, on="/dev/ptmx")
    size = program.constant(struct.pack("=4H", asked.rows, asked.columns, 0, 0), 2)
    program.call("ioctl", slave, termios.TIOCSWINSZ, size)
    program.call("ioctl", slave, termios.TIOCSCTTY, 0)
    if contained:
        _bind_console(program, slave)
    _leave_with_the_supervisor(program, sent.header)
    program.call("sendmsg", link, sent.header, 0, on="the relay")
    for target in (0, 1, 2):
        program.call("dup3", slave, target, 0)


def _leave_with_the_supervisor(program: Program, header: int) -> None:
    """So that the terminal is not hung up when the relay is killed: launcher/io/adoption.py.

    It lies in the supervisor's socket, and nobody takes it out. A packet comes in any case.
    """
    refused, left = Label(), Label()
    program.call("sendmsg", ALIVE, header, 0, tolerate=(ANY,), otherwise=refused)  # ETOOMANYREFS: unix(7)
    program.jump(left)
    program.place(refused)
    program.call("write", ALIVE, program.constant(bytes(1)), 1)
    program.place(left)


def hand_over(program: Program, stdio: Pipes | Terminal, user: User) -> None:
    """Let a user other than root open /dev/stdout, or /dev/tty's terminal, again: as runc does."""
    has_input = isinstance(stdio, Terminal) or stdio.stdin  # or else it is /dev/null, everybody's
    for descriptor in (0, 1, 2) if has_input else (1, 2):
        # EROFS, EPERM: a filesystem or a user namespace where it cannot be given away.
        program.call("fchown", descriptor, user.uid, -1, tolerate=(ANY,))


def _bind_console(program: Program, slave: int) -> None:
    """The name under which init systems look for the terminal; console(4)."""
    path = _CONSOLE.encode()
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | _NOCTTY
    file = program.call("openat", AT_FDCWD, path, flags, 0o600, on=_CONSOLE)
    program.call("close", file)
    named = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
    target = program.call("openat", AT_FDCWD, path, named, on=_CONSOLE)
    mounts.attach(program, mounts.clone_tree(program, slave, on=_CONSOLE), target, _CONSOLE)
