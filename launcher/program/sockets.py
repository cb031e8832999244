"""A socket of another network namespace.

Theory: a socket belongs to the network namespace in which it was made, for ever. So nothing but one
system call is made there, by a process of a page of our code (launcher.program) that sends the
socket back; whatever speaks over it is an ordinary thread of ours.
"""

from __future__ import annotations

import os
import socket

from launcher.kernel.libc import AT_FDCWD
from launcher.kernel.namespaces import CLONE_FLAGS
from launcher.program import runner
from launcher.program.assembler import CHANNEL, Program
from launcher.program.messages import OPENED, message_with_descriptor


def made_in(namespace: int, family: int, kind: int, protocol: int = 0) -> socket.socket:
    """An unconnected socket of the network namespace of this descriptor. Raises OSError."""
    program = Program()
    path = f"/proc/{os.getpid()}/fd/{namespace}"
    number = program.call("openat", AT_FDCWD, os.fsencode(path), os.O_RDONLY | os.O_CLOEXEC, on=path)
    program.call("setns", number, CLONE_FLAGS["net"], on="the container's network namespace")
    sent = message_with_descriptor(program, OPENED)
    program.call("socket", family, kind | socket.SOCK_CLOEXEC, protocol, store=sent.descriptor)
    program.call("sendmsg", CHANNEL, sent.header, 0)
    program.call("exit_group", 0)
    (descriptor,) = runner.run(program).descriptors
    return socket.socket(fileno=descriptor)
