"""Run a launch program in a process of its own, for its effects and for descriptors that it sends back.

What has to be done in a mount namespace of its own, say, cannot be done in this process, which may
have many threads; a process that runs the machine shares nothing with it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

from launcher import protocol
from launcher.data import Data, field
from launcher.kernel import memfd
from launcher.program import machine
from launcher.program.assembler import CHANNEL, FIRST_PASSED, PROGRAM, Program
from launcher.program.messages import PACKET, REPORT, is_failure
from launcher.program.objects import Explained

_ANCILLARY = socket.CMSG_SPACE(4)


class Sent(Data):
    """What a program has sent."""

    descriptors: list[int]  # now the caller's
    reports: list[int]  # numbers: launcher.program.messages


class Command(Data):
    """What runs a program: an executable that reads it, as the machine does."""

    path: str
    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    descriptor: int = -1  # one that the path needs


def run(program: Program, command: Command | None = None) -> Sent:
    """Run it to its end, by the machine if that can be. Raises OSError for a system call that fails."""
    own_end, child_end = protocol.channel()
    sent = Sent([], [])
    with own_end:
        with child_end:
            pid = start(program, child_end, command) if command else start_own(program, child_end)
        try:
            _receive(program, own_end, sent)
        except BaseException:
            for descriptor in sent.descriptors:
                os.close(descriptor)
            raise
        finally:
            os.waitpid(pid, 0)
    return sent


def engine_command() -> Command:
    """Where there can be no machine: launcher/program/engine.py. No container sees this one."""
    from launcher.program import engine  # rarely needed

    return Command(engine.EXECUTABLE, engine.ARGV, engine.ENVIRONMENT)


def start_own(program: Program, channel: socket.socket) -> int:
    """As `start`, by what there is here."""
    try:
        executable = machine.make()
    except OSError:
        return start(program, channel, engine_command())
    try:
        path = f"/proc/self/fd/{executable}"
        return start(program, channel, Command(path, machine.ARGV, descriptor=executable))
    finally:
        os.close(executable)


def start(program: Program, channel: socket.socket, command: Command) -> int:
    """Start it on the child's end of a channel. Returns its pid. Raises OSError."""
    memory = memfd.create("program")
    try:
        os.write(memory, program.assemble())
        os.lseek(memory, 0, os.SEEK_SET)
        sources = {CHANNEL: channel.fileno(), PROGRAM: memory}
        sources |= dict(enumerate(program.passed, FIRST_PASSED))
        actions = _moves(sources, max(command.descriptor, *sources, *sources.values()) + 1)
        return os.posix_spawn(command.path, command.argv, command.environment, file_actions=actions)
    finally:
        os.close(memory)


def _moves(sources: dict[int, int], above: int) -> list[tuple[int, int, int]]:
    """First to where nothing is, then each to its place: posix_spawn(3) makes the moves one by one."""
    away = [(os.POSIX_SPAWN_DUP2, source, above + n) for n, source in enumerate(sources.values())]
    home = [(os.POSIX_SPAWN_DUP2, above + n, place) for n, place in enumerate(sources)]
    return away + home


def _receive(program: Program, channel: socket.socket, sent: Sent) -> None:
    while True:
        packet, ancillary, _, _ = channel.recvmsg(PACKET.size, _ANCILLARY, socket.MSG_CMSG_CLOEXEC)
        if not packet:
            return
        sent.descriptors.extend(fd for _, _, data in ancillary for fd in memoryview(data).cast("i"))
        kind, number = PACKET.unpack(packet)
        if kind == REPORT:
            sent.reports.append(number)
        elif is_failure(kind):
            _, _, on = program.origin(kind)
            better = on.reason(number) if isinstance(on, Explained) else None
            raise OSError(number, better or os.strerror(number), str(on))
