"""Run a launch program in a process of its own, for its effects and for descriptors that it sends back.

What has to be done in a mount namespace of its own, say, cannot be done in this process, which may
have many threads; a process that runs the machine shares nothing with it.
"""

from __future__ import annotations

import errno
import os
import socket

from launcher import protocol
from launcher.data import Data
from launcher.kernel import memfd, process
from launcher.program import machine
from launcher.program.assembler import CHANNEL, FIRST_PASSED, PROGRAM, Program
from launcher.program.messages import PACKET, REPORT, is_failure
from launcher.program.objects import Explained
from launcher.program.start import Command, start

_ANCILLARY = socket.CMSG_SPACE(4)


class Sent(Data):
    """What a program has sent."""

    descriptors: list[int]  # now the caller's
    reports: list[int]  # numbers: launcher.program.messages


def run(program: Program, command: Command | None = None) -> Sent:
    """Run it to its end, by the machine if that can be. Raises OSError for a system call that fails."""
    own_end, child_end = protocol.channel()
    with own_end:
        with child_end:
            pid = start_program(program, child_end, command)
        try:
            return receive(program, own_end)
        finally:
            process.collect(pid)


def engine_command() -> Command:
    """Where there can be no machine: launcher/program/engine.py. No container sees this one."""
    from launcher.program import engine  # rarely needed

    return Command(engine.EXECUTABLE, engine.ARGV, engine.ENVIRONMENT)


def start_program(
    program: Program, channel: socket.socket, command: Command | None = None, *, fresh: bool = False
) -> int:
    """Start it on the child's end of a channel. Returns its pid, to be collected. Raises OSError.

    `fresh`: as of `start`, for one that executes somebody else's program.
    """
    if command is not None:
        return _start(program, channel, command, fresh)
    try:
        executable = machine.make()
    except OSError:
        return _start(program, channel, engine_command(), fresh)
    try:
        path = f"/proc/self/fd/{executable}"
        return _start(program, channel, Command(path, machine.ARGV, descriptor=executable), fresh)
    finally:
        os.close(executable)


def _start(program: Program, channel: socket.socket, command: Command, fresh: bool) -> int:
    memory = into_memory(program.assemble())
    try:
        passed = dict(enumerate(program.passed, FIRST_PASSED))
        return start(command, {CHANNEL: channel.fileno(), PROGRAM: memory, **passed}, fresh=fresh)
    finally:
        os.close(memory)


def into_memory(assembled: bytes) -> int:
    """A descriptor to read a program from. Raises OSError."""
    return memfd.holding("program", assembled)


def await_packet(program: Program, channel: socket.socket) -> int:
    """Wait for one packet without a descriptor. Returns its kind. Raises OSError, as `run`."""
    packet = channel.recv(PACKET.size)
    if not packet:
        raise OSError(errno.ECHILD, "its process was killed", program.stage or "launch program")
    kind, number = PACKET.unpack(packet)
    if is_failure(kind):
        raise failure(program, kind, number)
    return int(kind)


def receive(program: Program, channel: socket.socket) -> Sent:
    """What it sends, up to its end. Raises OSError for a system call that fails."""
    sent = Sent([], [])
    try:
        while packet := _packet(channel, sent):
            kind, number = PACKET.unpack(packet)
            if kind == REPORT:
                sent.reports.append(number)
            elif is_failure(kind):
                raise failure(program, kind, number)
    except BaseException:
        for descriptor in sent.descriptors:
            os.close(descriptor)
        raise
    return sent


def failure(program: Program, address: int, number: int) -> OSError:
    """The error of the instruction at `address`."""
    _, _, on = program.origin(address)
    better = on.reason(number) if isinstance(on, Explained) else None
    return OSError(number, better or os.strerror(number), str(on))


def _packet(channel: socket.socket, sent: Sent) -> bytes:
    packet, ancillary, _, _ = channel.recvmsg(PACKET.size, _ANCILLARY, socket.MSG_CMSG_CLOEXEC)
    sent.descriptors.extend(fd for _, _, data in ancillary for fd in memoryview(data).cast("i"))
    return packet
