"""A socket of another network namespace.

Theory: a socket belongs to the network namespace in which it was made, for ever. So nothing but a few
system calls is made there, by a process of a page of our code (launcher.program) that sends the
socket back; whatever speaks over it is an ordinary thread of ours. What /proc/sys/net shows is of the
namespace of who looks, so settings are written there, too.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

from launcher.kernel.libc import AT_FDCWD
from launcher.kernel.namespaces import CLONE_FLAGS
from launcher.program import runner
from launcher.program.assembler import CHANNEL, Program
from launcher.program.messages import OPENED, message_with_descriptor


def made_in(
    namespace: int, family: int, kind: int, protocol: int = 0, sysctls: Mapping[str, str] | None = None
) -> socket.socket:
    """An unconnected socket of the network namespace of this descriptor. Raises OSError.

    `sysctls`: what is written there before, by its path below /proc/sys.
    """
    program = Program()
    path = f"/proc/{os.getpid()}/fd/{namespace}"
    number = program.call("openat", AT_FDCWD, os.fsencode(path), os.O_RDONLY | os.O_CLOEXEC, on=path)
    program.call("setns", number, CLONE_FLAGS["net"], on="the container's network namespace")
    for name, value in (sysctls or {}).items():
        path = f"/proc/sys/{name}"
        setting = program.call("openat", AT_FDCWD, path.encode(), os.O_WRONLY | os.O_CLOEXEC, on=path)
        program.call("write", setting, value.encode(), len(value), on=path)
    sent = message_with_descriptor(program, OPENED)
    program.call("socket", family, kind | socket.SOCK_CLOEXEC, protocol, store=sent.descriptor)
    program.call("sendmsg", CHANNEL, sent.header, 0)
    program.call("exit_group", 0)
    (descriptor,) = runner.run(program).descriptors
    return socket.socket(fileno=descriptor)
