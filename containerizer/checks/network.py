"""Connections to what a container serves, from within its network namespace (launcher.program.sockets)."""

from __future__ import annotations

import os
import socket
import time

from containerizer import liveness
from containerizer.checks.attempt import Deadline
from containerizer.checks.check import Connection, Result
from containerizer.record import ContainerRecord
from launcher.program.sockets import made_in

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
        return made_in(namespace, family, socket.SOCK_STREAM)
    finally:
        os.close(namespace)
