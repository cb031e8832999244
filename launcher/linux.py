"""The Linux launcher: tasks in namespaces, each under a supervisor of its own.

A supervisor has to be forked from a single-threaded process. A program that launches once and has
one thread (the command line) forks it itself; every other one has a fork server do it.
"""

from __future__ import annotations

import _thread
import contextlib
import importlib
import os
import select
import signal
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING

from launcher import protocol
from launcher.data import Data, asdict
from launcher.errors import InvalidRequest, LaunchFailed
from launcher.exit_status import ExitStatus
from launcher.failure import explain
from launcher.launch_info import LaunchInfo
from launcher.process_attributes import Clamped
from launcher.stdio import Inherit, Service, Stdio, to_json
from launcher.validate import validate

if TYPE_CHECKING:
    from launcher.forkserver_client import ForkServer


class LaunchRequest(Data, kw_only=True):
    """One launch."""

    container_id: str
    info: LaunchInfo
    stdio: Stdio
    service: Service | None = None  # required by, and only for, what is not inherited
    exit_status_path: str  # the supervisor records the exit status here; absolute
    reaper: Sequence[str] = ()  # argv the supervisor ends in when the launcher is gone by then


class LinuxLauncher:
    """Launches tasks. With `in_process` the calling process forks the supervisors; see above."""

    supervisor = "supervisor"  # the module of this package that forked supervisors run

    def __init__(self, *, in_process: bool = False) -> None:
        self._in_process = in_process
        self._server: ForkServer | None = None
        self._lock = _thread.allocate_lock()  # held to make a server: a second one would be nobody's

    def launch(self, request: LaunchRequest) -> Task:
        """Make the container's first process. It blocks until `Task.release`.

        Raises LaunchFailed, or InvalidRequest for what would touch the host; then nothing is left.
        """
        self._validate(request)
        try:
            return self._launch(request)
        except protocol.PeerGone:
            raise LaunchFailed("cannot clone the child: the supervisor was killed") from None
        except OSError as error:
            raise LaunchFailed(f"cannot fork the supervisor: {error}") from error

    def _launch(self, request: LaunchRequest) -> Task:
        supervisor = None
        channel, supervisor_end = protocol.channel()
        try:
            with supervisor_end:
                supervisor = self._fork_supervisor(supervisor_end)
            message = protocol.Launch(
                container_id=request.container_id,
                launch_info=request.info.to_json(),
                exit_status_path=request.exit_status_path,
                stdio=to_json(request.stdio),
                service=asdict(request.service) if request.service else None,
                reaper=tuple(request.reaper),
            )
            with contextlib.suppress(protocol.PeerGone):  # then it has said why
                protocol.send(channel, message, _descriptors(request.stdio))
            return self._task(channel, supervisor)
        except BaseException:
            channel.close()
            collect(supervisor)
            raise

    def _fork_supervisor(self, channel: socket.socket) -> int | None:
        """Its pid if it is our child, to be collected."""
        if self._in_process and self._has_one_thread():
            # Here, since a supervisor that is forked from this process needs it in memory already.
            from launcher import fork

            main = importlib.import_module(f"launcher.{self.supervisor}").main
            return fork.fork_supervisor(main, channel)
        with self._lock:
            if self._server is None:
                from launcher.forkserver_client import ForkServer  # subprocess: 7 ms that `run` spares

                self._server = ForkServer(self.supervisor)
            server = self._server
        server.fork(channel)
        return None

    def _validate(self, request: LaunchRequest) -> None:
        validate(request.info)

    def _has_one_thread(self) -> bool:
        return len(os.listdir("/proc/self/task")) == 1

    def _task(self, channel: socket.socket, supervisor: int | None) -> Task:
        return Task.from_channel(channel, supervisor)

    def close(self) -> None:
        """Stop the fork server; the containers run on."""
        if self._server is not None:
            self._server.close()
            self._server = None


class Task:
    """A launched task, through the channel to its supervisor. Blocked until `release`."""

    def __init__(self, channel: socket.socket, pid: int, pidfd: int, supervisor: int | None) -> None:
        self.pid = pid  # of the first process, as the host sees it
        self._channel = channel
        self._pidfd = pidfd
        self._supervisor = supervisor  # its pid while it is a child of ours, not yet collected
        self._status: ExitStatus | None = None
        self.clamped: tuple[Clamped, ...] = ()  # what the host did not grant; known after the release

    @classmethod
    def from_channel(cls, channel: socket.socket, supervisor: int | None) -> Task:
        """Wait for the clone. Raises LaunchFailed."""
        try:
            message, descriptors = protocol.receive(channel, protocol.Cloned, protocol.Failed)
        except BaseException:
            end_container(channel)  # we were interrupted
            raise
        if isinstance(message, protocol.Failed):
            raise explain(message)
        assert isinstance(message, protocol.Cloned)
        return cls(channel, message.pid, descriptors[0], supervisor)

    def release(self) -> None:
        """Let the child become the task. Raises LaunchFailed; `destroy` is still to be called."""
        try:
            with contextlib.suppress(protocol.PeerGone):  # then it has said why
                protocol.send(self._channel, protocol.Release())
            message, _ = protocol.receive(self._channel, protocol.Running, protocol.Failed)
        except protocol.PeerGone:
            raise LaunchFailed("cannot prepare the task: its supervisor was killed") from None
        if isinstance(message, protocol.Failed):
            raise explain(message)
        assert isinstance(message, protocol.Running)
        self.clamped = tuple(Clamped(**clamped) for clamped in message.clamped)

    def fileno(self) -> int:
        """Polls readable when `exit_status` will not block."""
        return self._channel.fileno()

    def signal(self, number: int) -> None:
        """Send a signal to the task; SIGKILL ends the container. One that has ended is fine.

        Before the release only SIGKILL does anything. Raises InvalidRequest if there is no such signal.
        """
        if number not in signal.valid_signals():
            raise InvalidRequest(f"invalid signal number {number}", hint="see `kill -l` for the signals")
        with contextlib.suppress(protocol.PeerGone):  # then it has ended, or the kernel has killed it
            protocol.send(self._channel, protocol.Signal(number))

    def exit_status(self) -> ExitStatus | None:
        """Wait for the end. None: the supervisor was killed, so the kernel killed the task.

        Raises LaunchFailed if the supervisor has failed, and so ended the container.
        """
        if self._status is not None:
            return self._status
        try:
            message, _ = protocol.receive(self._channel, protocol.Exited, protocol.Failed)
        except protocol.PeerGone:
            return None
        if isinstance(message, protocol.Failed):
            raise explain(message)
        assert isinstance(message, protocol.Exited)
        self._status = ExitStatus(message.code, message.signal)
        return self._status

    def abandon(self) -> None:
        """Let the supervisor see to the end by itself: to it, its launcher is gone from now on."""
        self._channel.close()
        os.close(self._pidfd)
        self._pidfd = -1

    def destroy(self) -> None:
        """End everything in the container and wait until it is gone. Idempotent."""
        if self._pidfd < 0:
            return
        # From here too: the supervisor may be gone, or hear us late, while the child hangs in a mount.
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        end_container(self._channel)
        self._channel.close()
        _wait_for_end(self._pidfd)
        os.close(self._pidfd)
        self._pidfd = -1
        collect(self._supervisor)
        self._supervisor = None


def _descriptors(stdio: Stdio) -> tuple[int, ...]:
    return (stdio.stdin, stdio.stdout, stdio.stderr) if isinstance(stdio, Inherit) else ()


def end_container(channel: socket.socket) -> None:
    """Have the supervisor end everything, and wait until it ends itself."""
    with contextlib.suppress(protocol.PeerGone):
        protocol.send(channel, protocol.Signal(signal.SIGKILL))
    with contextlib.suppress(protocol.PeerGone):
        while True:
            _, descriptors = protocol.receive(
                channel, protocol.Cloned, protocol.Running, protocol.Failed, protocol.Exited
            )
            for descriptor in descriptors:
                os.close(descriptor)


def collect(supervisor: int | None) -> None:
    if supervisor is not None:
        with contextlib.suppress(ChildProcessError):  # by whoever collects every child of this process
            os.waitpid(supervisor, 0)


def _wait_for_end(pidfd: int) -> None:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.poll()
