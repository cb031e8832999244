"""Ports of the host that are published, held: bound by a small process for as long as the task runs.

The packet filter hands on what comes for such a port whoever is bound to it, so without a holder a program
of the host could be, and would never hear of anything; and no container of another state directory could
know that the port has gone. The sockets hear nothing, and do not listen: whom the filter does not hand on
is refused at once.

The process has the lock of a file, flock(2), by which its end is seen, and lies in the directory of the
container's state, which names the container to whoever looks for the port: occupants.py.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import socket
import time
from collections.abc import Iterable

from isolators.network import detached
from isolators.network.published import TYPES
from isolators.networks import PortMapping
from launcher import protocol
from launcher.kernel import process
from launcher.program import runner
from launcher.program.assembler import FIRST_PASSED, Label, Program

NAME = "ctz:ports"

_ANY = {4: "0.0.0.0", 6: "::"}  # noqa: S104 - nobody listens
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
_PATIENCE = 2.0  # seconds until one that does not end is left alone
_BETWEEN = 0.002  # seconds


def hold(ports: Iterable[PortMapping], versions: Iterable[int], *, task: int, lock: str, place: str) -> None:
    """Hold them while the process `task` runs. `versions`: of IP by which they are published.

    Raises OSError: EADDRINUSE where somebody else has been faster.
    """
    os.makedirs(os.path.dirname(lock), mode=0o700, exist_ok=True)
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(each) for port in ports for each in _bound(port, set(versions))]
        pidfd = os.pidfd_open(task)
        stack.callback(os.close, pidfd)
        locked = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        stack.callback(os.close, locked)
        fcntl.flock(locked, fcntl.LOCK_EX | fcntl.LOCK_NB)
        own_end, holders_end = protocol.channel()
        with own_end:
            with holders_end:
                program = _holding([locked, *(each.fileno() for each in held)], pidfd, place)
                pid = runner.start_program(program, holders_end)
            process.collect(pid)
            runner.receive(program, own_end)  # its end of the channel is closed once it has all


def await_end(lock: str) -> None:
    """Wait for the holder's end, which is that of the task. Idempotent."""
    try:
        locked = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        deadline = time.monotonic() + _PATIENCE
        while detached.is_locked(locked) and time.monotonic() < deadline:
            time.sleep(_BETWEEN)
    finally:
        os.close(locked)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(lock)
    with contextlib.suppress(OSError):  # others are there
        os.rmdir(os.path.dirname(lock))


def _bound(port: PortMapping, versions: set[int]) -> list[socket.socket]:
    if port.host_ip:
        versions = {6 if ":" in port.host_ip else 4}
    made: list[socket.socket] = []
    try:
        for version in sorted(versions):
            with contextlib.suppress(_NoProtocol):
                made.append(_one(port, version))
    except BaseException:
        for each in made:
            each.close()
        raise
    return made


class _NoProtocol(Exception):
    """The host lacks it, or the family: there is nothing to hold."""


def _one(port: PortMapping, version: int) -> socket.socket:
    kind, number = TYPES[port.protocol]
    try:
        made = socket.socket(_FAMILIES[version], kind, number)
    except OSError as error:
        if error.errno not in (errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT):
            raise
        raise _NoProtocol from None
    try:
        if version == 6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            made.bind((port.host_ip or _ANY[version], port.host_port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE or kind != socket.SOCK_STREAM:
                raise
            # Connections of the host's that are over; who is bound for another reason refuses this, too.
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((port.host_ip or _ANY[version], port.host_port))
    except BaseException:
        made.close()
        raise
    return made


def _holding(held: list[int], task: int, place: str) -> Program:
    """What the holder does."""
    program, gone = Program(), Label()
    for descriptor in (task, *held):
        program.pass_descriptor(descriptor)
    detached.begin(program, gone, NAME, place)
    program.call("close_range", detached.STDIO, FIRST_PASSED - 1)
    polled = program.buffer(detached.POLLFD.pack(FIRST_PASSED, select.POLLIN, 0))
    program.call("ppoll", polled, 1, 0, 0, 0)
    program.place(gone)
    program.call("exit_group", 0)
    return program
