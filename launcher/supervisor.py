"""The supervisor: one forked process a container, from before its clone until after its end.

It outlives the launcher that asked for it. It is the child's parent, so it alone can collect the
exit status; and it is the subreaper, so what the task leaves behind comes to it and is ended here.

It is small because it does little: `launcher.starter` starts the child, and what a supervisor has to
know of the request it reads when the task has ended. Until then it does not leave what is its fork
server's, nor read what is the launcher's, unless it serves pipes or a terminal.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # signal.signal makes enumerations of all
import _socket
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Sequence
from typing import NoReturn

from launcher import exit_record, protocol, starter
from launcher.exit_status import ExitStatus
from launcher.io.inherited import InheritedIO
from launcher.io.loop import IN, Loop
from launcher.kernel import prctl, signals
from launcher.program.spawn import Spawner
from launcher.supervision import Descriptors, Main, supervise

_PIPE_BUFFER = 64 * 1024  # bytes
_COMM = "/proc/self/comm"
_MSG_CMSG_CLOEXEC = int(socket.MSG_CMSG_CLOEXEC)  # of socket these are enumerations
_ANCILLARY = socket.CMSG_SPACE(8)  # two descriptors
_PID = 4  # bytes
_WARM = 20  # times; CPython 3.11 rewrites code until it has run 8 times, PEP 659
_MSG_PEEK_DONTWAIT = int(socket.MSG_PEEK | socket.MSG_DONTWAIT)


def prepare(*, settled: bool, force_engine: bool = False) -> Main:
    """What a forked process runs; in a fork server (`settled`) its process takes the common steps now."""
    shared = Spawner(force_engine=force_engine) if settled else None
    if settled:
        _settle_signals()
        _close_stdio((0, 1))
        for _ in range(_WARM):
            _warm_up()

    def main(channel: int, body: bytes, descriptors: Descriptors) -> NoReturn:
        launcher = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, channel)

        def make() -> Supervisor:
            os.setsid()
            _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)  # a fork server ignores it
            prctl.set_child_subreaper()
            if not settled:
                _settle_signals()
            supervisor = Supervisor(launcher, body)
            supervisor.start(shared or Spawner(force_engine=force_engine), descriptors)
            if not settled:  # but not before: the task's may be among what is replaced
                _close_stdio((0, 1) if _is_open(2) else (0, 1, 2))
            return supervisor

        supervise(launcher, make)

    return main


def _warm_up() -> None:
    """Do what every supervisor does: code that has run some times is not written to any more."""
    body = b'{"type": "Launch", "container_id": "warm", "service": null}'
    assert protocol.container_of(body) == b"warm"
    assert not protocol.is_served(body)
    io = InheritedIO()
    io.close_child_ends()
    _children()
    loop, (ours, theirs) = Loop(), protocol.pair()
    loop.watch(ours.fileno(), IN, io.drain)
    protocol.post(theirs, protocol.RUNNING)
    ours.recvmsg(100, _ANCILLARY, _MSG_CMSG_CLOEXEC)
    loop.turn(0)
    loop.forget(ours.fileno())
    ours.close()
    theirs.close()
    with contextlib.suppress(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def _settle_signals() -> None:
    """Leave the launcher's directory, and its signal handlers."""
    os.chdir("/")
    signal.set_wakeup_fd(-1)
    signals.reset_ignored()  # Python's and the launcher's own, so that the child knows what to reset
    signals.ignore(signals.IGNORED)
    signals.unblock_all()


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _close_stdio(descriptors: Sequence[int]) -> None:
    """Put /dev/null in the place of descriptors below 3, which may be closed already."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for descriptor in descriptors:
        os.dup2(null, descriptor)
        os.set_inheritable(descriptor, True)  # dup2(2) leaves it alone where it is `null` itself
    if null not in descriptors:
        os.close(null)


class Supervisor:
    """The life of one container, seen from its parent."""

    def __init__(self, launcher: _socket.socket, body: bytes) -> None:
        """`body` is the request, as it came."""
        self.launcher = launcher
        self._body = body
        self._launcher_gone = False
        self._pid = -1  # of the task
        self._status: int | None = None  # of its end, as wait(2) has it
        self._loop = Loop()
        self._io = self._open_io()
        _name_process(protocol.container_of(body))

    def start(self, spawner: Spawner, descriptors: Descriptors) -> None:
        """Fork the starter."""
        self._starter, theirs = protocol.pair()
        if self._fork() == 0:
            starter.be(self.launcher, theirs, spawner, self._body, descriptors, self._io.child_ends)
        theirs.close()
        self._io.close_child_ends()
        kept = {self.launcher.fileno(), self._starter.fileno(), *self._io.descriptors}
        prctl.close_but(kept)  # or a reader of the task's output would wait for us

    def _fork(self) -> int:
        try:
            return os.fork()
        except OSError as error:
            protocol.send(self.launcher, protocol.Failed.from_error("fork the starter", error))
            raise protocol.PeerGone("the launcher has been told why") from error

    def run(self) -> None:
        """Wait until the task runs, and see it to its end."""
        running = False
        try:
            running = self._is_running()
            if running:
                self._watch()
        finally:
            status = self._end_everything()  # whatever happened: nobody else could
            self._finish(status if running else None)

    def _is_running(self) -> bool:
        """Whether the starter has said so, and not just ended."""
        packet, ancillary, _, _ = self._starter.recvmsg(_PID, _ANCILLARY, _MSG_CMSG_CLOEXEC)
        self._starter.close()
        if not packet:
            return False
        os.dup2(0, 2)  # the launcher's so far: the only way to tell of a defect
        self._pid = int.from_bytes(packet, sys.byteorder)
        for _, _, data in ancillary:
            master, slave = memoryview(data).cast("i")
            self._io.terminal_opened(master, slave)
        return True

    def _finish(self, status: ExitStatus | None) -> None:
        """The end, in the order in which others may rely on it: the output, the status, the clean-up."""
        try:
            self._io.drain()
        finally:
            self._report(status)

    def _report(self, status: ExitStatus | None) -> None:
        """Tell of the end of a task that ran: the disk, the launcher, and if that is gone the reaper."""
        request = protocol.decode(self._body)
        try:
            if status:
                exit_record.write(request.exit_status_path, status)
        finally:
            if status:
                self._post(protocol.exited(status.code, status.signal))
            self._io.end(status)
            if request.reaper and (self._launcher_gone or self._has_hung_up()):
                self._become_reaper(request.reaper)

    def _become_reaper(self, argv: Sequence[str]) -> NoReturn:
        signals.default(signals.IGNORED)
        os.execv(argv[0], list(argv))  # noqa: S606 - no shell wanted

    def _has_hung_up(self) -> bool:
        """Whether the launcher is gone, though nothing had to be said to it."""
        try:
            return not self.launcher.recv(1, _MSG_PEEK_DONTWAIT)
        except BlockingIOError:
            return False
        except ConnectionError:
            return True

    def _open_io(self) -> InheritedIO:
        if not protocol.is_served(self._body):
            return InheritedIO()
        from launcher.io.served import ServedIO  # what `run` in the foreground need not load

        request = protocol.decode(self._body)
        return ServedIO(request.stdio, request.service, self._loop)

    def _watch(self) -> None:
        """Serve everyone, and collect what the task orphans, until the task has ended."""
        child_ended = _child_end_notifier()
        self._collect()
        self._loop.watch(child_ended, IN, lambda: self._collect_ended(child_ended))
        self._loop.watch(self.launcher.fileno(), IN, self._serve)
        self._io.serve(self._signal)
        while self._status is None:
            self._loop.turn()
        self._loop.forget(child_ended)  # others are served a little longer

    def _collect_ended(self, child_ended: int) -> None:
        os.read(child_ended, _PIPE_BUFFER)
        self._collect()

    def _collect(self) -> None:
        """Collect what has ended: each zombie counts against the container's limit of processes.

        The task is collected as well; its pid may be another's from then on, so it is forgotten.
        """
        with contextlib.suppress(ChildProcessError):
            while self._status is None:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid == self._pid:
                    self._pid, self._status = -1, status

    def _serve(self) -> None:
        """Handle one message of the launcher, or its end."""
        body = protocol.receive_body(self.launcher)
        if not body:
            self._launcher_gone = True
            self._loop.forget(self.launcher.fileno())
            return
        message = protocol.decode(body)
        if not isinstance(message, protocol.Signal):
            raise protocol.ProtocolError(f"expected Signal, got {type(message).__name__}")
        self._signal(message.number)

    def _signal(self, number: int) -> None:
        if self._pid > 0:  # not collected yet, so the pid is the task's
            with contextlib.suppress(OSError, ValueError):  # there is no such signal
                os.kill(self._pid, number)

    def _end_everything(self) -> ExitStatus | None:
        """Kill and collect the task and every orphan that came to us; the task's status."""
        self._signal(_signal.SIGKILL)
        # Without a PID namespace of its own, what the task forked may live on: now our children.
        while children := _children():
            for pid in children:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, _signal.SIGKILL)
            pid, status = os.waitpid(-1, 0)
            if pid == self._pid:
                self._pid, self._status = -1, status
        return None if self._status is None else ExitStatus.from_wait(self._status)

    def _post(self, body: bytes) -> None:
        try:
            protocol.post(self.launcher, body)
        except protocol.PeerGone:
            self._launcher_gone = True


def _name_process(container: bytes) -> None:
    """What ps shows: 15 bytes, the rest is cut."""
    file = os.open(_COMM, os.O_WRONLY | os.O_CLOEXEC)
    os.write(file, b"ctz:" + container)
    os.close(file)


def _children() -> list[int]:
    """Our children, orphans of the task among them: proc(5), needs CONFIG_PROC_CHILDREN."""
    file = os.open("/proc/thread-self/children", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return [int(pid) for pid in os.read(file, _PIPE_BUFFER).split()]
    finally:
        os.close(file)


def _child_end_notifier() -> int:
    """A descriptor that polls readable when a child has ended."""
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    _signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    _signal.signal(_signal.SIGCHLD, _do_nothing)
    return reader


def _do_nothing(*_: object) -> None:
    """The wakeup descriptor tells of it."""
