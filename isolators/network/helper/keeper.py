"""Run a program for as long as a task: a small process starts it, waits for the task's end, and kills it.

    launcher ── posix_spawn ──► keeper ── clone ──► program
                                   └── polls the task's pidfd

It needs nobody who lives longer: not the launcher, which may be killed, nor the supervisor. If the keeper
itself is killed the kernel kills the program: PR_SET_PDEATHSIG of prctl(2). Both have the lock of one
directory, flock(2): who gets it knows that they have ended.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import time
from collections.abc import Mapping, Sequence

from isolators.network import detached
from launcher import protocol
from launcher.data import Data
from launcher.errors import ContainerizerError
from launcher.kernel import clone, memfd, process
from launcher.program import runner
from launcher.program.assembler import CHANNEL, PROGRAM, Label, Program, Slot
from launcher.program.messages import PACKET, REPORT

NAME = "ctz:network"
PATIENCE = 10.0  # seconds for the program to be ready, or to end

_PR_SET_PDEATHSIG = 1
_EVERYTHING = 0xFFFFFFFF
_BETWEEN = 0.002  # seconds
_NUMBER = 8  # where it lies in PACKET
_ROOM = 1 << 16  # bytes of what the program says
_TOLD = 400  # characters of it that are told


class HelperFailed(ContainerizerError):
    """A program that is to be a container's network could not be."""


class Started(Data, kw_only=True):
    """The keeper."""

    pid: int
    started: int


class Descriptors(Data, kw_only=True):
    """As the program has them."""

    ready: int  # a pipe's end: to write to it is to be ready
    directory: int


def start(
    path: str, argv: Sequence[str], environment: Mapping[str, str], *, directory: int, task: int
) -> Started:
    """Have the program run until the task of this pidfd has ended, and wait until it is ready.

    `directory` is locked for them. Its number in `argv` and that of the pipe to say that it is ready to:
    `DESCRIPTORS`. Raises HelperFailed, OSError.
    """
    fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
    output, (heard, said) = memfd.with_room("network", _ROOM), os.pipe2(os.O_CLOEXEC)
    own_end, keepers_end = protocol.channel()
    try:
        with own_end:
            try:
                with keepers_end:
                    program = _keeping(path, argv, environment, [said, directory, task, output])
                    process.collect(runner.start_program(program, keepers_end, fresh=True))
            finally:
                os.close(said)
            pid = _executed(program, own_end)
        _await_ready(heard, pid, os.path.basename(path), output)
        started = process.started_at(pid)
        if started is None:
            raise HelperFailed(f"{os.path.basename(path)} was killed")
        return Started(pid=pid, started=started)
    finally:
        os.close(heard)
        os.close(output)


def end(keeper: Started, directory: str) -> None:
    """Kill the keeper, and so the program: neither has a descriptor then. Raises HelperFailed, OSError."""
    _kill(keeper)
    locked = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        deadline = time.monotonic() + PATIENCE
        while detached.is_locked(locked):
            if time.monotonic() > deadline:
                raise HelperFailed(f"the program that has {directory} locked does not end")
            time.sleep(_BETWEEN)
    finally:
        os.close(locked)


def _kill(keeper: Started) -> None:
    try:
        pidfd = os.pidfd_open(keeper.pid)
    except ProcessLookupError:
        return
    try:
        if process.started_at(keeper.pid) == keeper.started:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            _polled(pidfd, PATIENCE)
    except ProcessLookupError:
        pass
    finally:
        os.close(pidfd)


# What the keeper does ---------------------------------------------------------------------------------

_READY, _DIRECTORY, _TASK, _OUTPUT = range(8, 12)  # FIRST_PASSED and up

DESCRIPTORS = Descriptors(ready=_READY, directory=_DIRECTORY)


def _keeping(
    path: str, argv: Sequence[str], environment: Mapping[str, str], passed: Sequence[int]
) -> Program:
    program, gone, stays = Program(), Label(), Label()
    for descriptor in passed:
        program.pass_descriptor(descriptor)
    detached.begin(program, gone, NAME, "/")
    report = program.buffer(PACKET.pack(REPORT, 0))
    program.call("getpid", store=Slot(report + _NUMBER))
    program.call("write", CHANNEL, report, PACKET.size)
    child = program.call("clone", *clone.FORK, 0, 0, 0, then=stays)
    _executing(program, path, argv, environment)
    program.place(stays)
    _staying(program, child)
    program.place(gone)
    program.call("exit_group", 0)
    return program


def _executing(program: Program, path: str, argv: Sequence[str], environment: Mapping[str, str]) -> None:
    program.call("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    for number in (1, 2):
        program.call("dup3", _OUTPUT, number, 0)
    program.call("close_range", _TASK, _EVERYTHING, 0)
    program.call("close", PROGRAM, tolerate=(9,))  # EBADF: it is read by now
    program.call("fcntl", CHANNEL, fcntl.F_SETFD, fcntl.FD_CLOEXEC)  # its end says that it is executed
    words = [os.fsencode(f"{name}={value}") for name, value in environment.items()]
    program.call(
        "execve",
        os.fsencode(path),
        program.pointers(map(os.fsencode, argv)),
        program.pointers(words),
        on=path,
    )


def _staying(program: Program, child: Slot) -> None:
    polled = program.buffer(detached.POLLFD.pack(_TASK, select.POLLIN, 0))
    program.call("close", CHANNEL)
    program.call("close", _READY)
    program.call("close", _OUTPUT)
    program.call("ppoll", polled, 1, 0, 0, 0)
    program.call("kill", child, signal.SIGKILL)
    program.call("wait4", child, 0, 0, 0)
    program.call("exit_group", 0)


# What is heard of it ----------------------------------------------------------------------------------


def _executed(program: Program, channel: object) -> int:
    """The keeper's pid, once the program is executed."""
    reports = runner.receive(program, channel).reports  # type: ignore[arg-type]
    if not reports:
        raise HelperFailed("the process that keeps a container's network was killed")
    return reports[0]


def _await_ready(heard: int, pid: int, name: str, output: int) -> None:
    ready = _polled(heard, PATIENCE) and os.read(heard, 64)
    if ready:
        return
    started = process.started_at(pid)
    if started is not None:
        _kill(Started(pid=pid, started=started))
    said = memfd.written(output).decode(errors="replace").strip().splitlines()
    told = "; ".join(line.strip() for line in said if line.strip())[-_TOLD:]
    raise HelperFailed(f"{name} has failed: {told or 'it does not say why'}")


def _polled(descriptor: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000))
