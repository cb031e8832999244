"""The child's part of the task's stdio: its terminal, and whose the ends are."""

from __future__ import annotations

import contextlib
import os
import socket

from launcher import protocol
from launcher.kernel import mounts, terminal
from launcher.stdio import Terminal
from launcher.user import User

TERM = "xterm"  # what every terminal understands; the image and the request come first

_PTMX = "/dev/ptmx"
_CONSOLE = "/dev/console"
_NULL = os.makedev(1, 3)  # /dev/null, which is everybody's: null(4)


def open_terminal(asked: Terminal, channel: socket.socket, *, contained: bool) -> None:
    """Make a terminal the session's controlling one and our stdio, and send its master away.

    It is one of the devpts at /dev/pts: the container's own if it is `contained` in a root
    filesystem of its own, where it then is /dev/console as well, and otherwise the host's.
    """
    master, slave = terminal.open_pair(_PTMX)
    terminal.set_size(slave, asked.rows, asked.columns)
    terminal.make_controlling(slave)
    if contained:
        _bind_console(slave)
    protocol.send(channel, protocol.TerminalOpened(), [master])
    os.close(master)
    for target in (0, 1, 2):
        os.dup2(slave, target)
    os.close(slave)


def hand_over(user: User) -> None:
    """Let a user other than root open /dev/stdout, or /dev/tty's terminal, again: as runc does."""
    for descriptor in (0, 1, 2):
        if os.fstat(descriptor).st_rdev != _NULL:
            # EROFS, EPERM: a filesystem or a user namespace where it cannot be given away.
            with contextlib.suppress(OSError):
                os.fchown(descriptor, user.uid, -1)


def _bind_console(slave: int) -> None:
    """The name under which init systems look for the terminal; console(4)."""
    os.close(os.open(_CONSOLE, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC, 0o600))
    target = os.open(_CONSOLE, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    tree = mounts.clone_tree(slave)
    mounts.attach(tree, target, _CONSOLE)
    os.close(tree)
    os.close(target)
