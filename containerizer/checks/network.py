"""Connections to what a container serves, from within its network namespace.

Theory: a socket belongs to the network namespace in which it was made, for ever. So nothing but one
system call is made there, by a process of a page of our code (launcher.program) that sends the
socket back; whatever speaks over it is an ordinary thread of ours.
"""

from __future__ import annotations

import os
import socket
import time

from containerizer import liveness
from containerizer.checks.attempt import Deadline
from containerizer.checks.check import Connection, Result
from containerizer.record import ContainerRecord
from launcher.kernel.libc import AT_FDCWD
from launcher.kernel.namespaces import CLONE_FLAGS
from launcher.program import runner
from launcher.program.assembler import CHANNEL, Program
from launcher.program.messages import OPENED, message_with_descriptor

_LOOPBACK = ("127.0.0.1", "::1")


def tcp(record: ContainerRecord, to: Connection, timeout: float, deadline: Deadline) -> Result:
    """Connect, and no more. Raises OSError."""
    connected(record, to, timeout, deadline).close()
    return Result(success=True, message="connected")


def connected(record: ContainerRecord, to: Connection, timeout: float, deadline: Deadline) -> socket.socket:
    """A connection. Raises OSError; that of the first address where none accepts."""
    end = time.monotonic() + timeout
    failures = []
    for host in _LOOPBACK if to.host is None else (to.host,):
        connection = socket_in(record, socket.AF_INET6 if ":" in host else socket.AF_INET)
        try:
            deadline.watch(connection)
            connection.settimeout(max(0.001, end - time.monotonic()))
            connection.connect((host, to.port))
        except OSError as error:
            connection.close()
            failures.append(error)
        else:
            return connection
    raise failures[0]


def socket_in(record: ContainerRecord, family: int) -> socket.socket:
    """An unconnected stream socket of the container's network namespace. Raises OSError."""
    process = liveness.open_process(record.pid, record.pid_started)
    if process is None:
        raise ProcessLookupError(f"container {record.container_id} is not running")
    try:
        namespace = os.open(f"/proc/{record.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(process)
    try:
        if os.path.samestat(os.fstat(namespace), os.stat("/proc/self/ns/net")):
            return socket.socket(family, socket.SOCK_STREAM)
        return _made_in(namespace, family)
    finally:
        os.close(namespace)


def _made_in(namespace: int, family: int) -> socket.socket:
    program = Program()
    path = f"/proc/{os.getpid()}/fd/{namespace}"
    number = program.call("openat", AT_FDCWD, os.fsencode(path), os.O_RDONLY | os.O_CLOEXEC, on=path)
    program.call("setns", number, CLONE_FLAGS["net"], on="the container's network namespace")
    sent = message_with_descriptor(program, OPENED)
    program.call("socket", family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC, 0, store=sent.descriptor)
    program.call("sendmsg", CHANNEL, sent.header, 0)
    program.call("exit_group", 0)
    (descriptor,) = runner.run(program).descriptors
    return socket.socket(fileno=descriptor)
