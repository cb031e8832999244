"""The Linux launcher: tasks in namespaces, each under a supervisor of its own.

A supervisor has to be forked from a single-threaded process. A program that launches once and has
one thread (the command line) forks it itself; every other one has a fork server do it.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher import protocol
from launcher.errors import LaunchFailed
from launcher.exit_status import ExitStatus
from launcher.failure import explain
from launcher.launch_info import LaunchInfo

if TYPE_CHECKING:
    from launcher.forkserver_client import ForkServer


@dataclass(frozen=True, kw_only=True, slots=True)
class LaunchRequest:
    """One launch."""

    container_id: str
    info: LaunchInfo
    stdio: tuple[int, int, int]  # the task's stdin, stdout and stderr; stay the caller's to close
    exit_status_path: str  # the supervisor records the exit status here
    reaper: Sequence[str] = ()  # argv the supervisor ends in when the launcher is gone by then


class LinuxLauncher:
    """Launches tasks. With `in_process` the calling process forks the supervisors; see above."""

    def __init__(self, *, in_process: bool = False) -> None:
        self._in_process = in_process
        self._server: ForkServer | None = None

    def launch(self, request: LaunchRequest) -> Task:
        """Make the container's first process. It blocks until `Task.release`.

        Raises LaunchFailed; then nothing is left.
        """
        channel, supervisor_end = protocol.channel()
        try:
            with supervisor_end:
                supervisor = self._fork_supervisor(supervisor_end)
            message = protocol.Launch(
                container_id=request.container_id,
                launch_info=request.info.to_json(),
                exit_status_path=request.exit_status_path,
                reaper=tuple(request.reaper),
            )
            protocol.send(channel, message, request.stdio)
            return Task.from_channel(channel, supervisor)
        except BaseException as error:
            channel.close()
            if isinstance(error, protocol.PeerGone):
                raise LaunchFailed("cannot clone the child: the supervisor was killed") from None
            raise

    def _fork_supervisor(self, channel: socket.socket) -> int | None:
        """Its pid if it is our child, to be collected."""
        if self._in_process and len(os.listdir("/proc/self/task")) == 1:
            # Here, since a supervisor that is forked from this process needs it in memory already.
            from launcher import supervisor

            return supervisor.fork(channel)
        if self._server is None:
            from launcher.forkserver_client import ForkServer  # subprocess: 7 ms that `run` spares

            self._server = ForkServer()
        self._server.fork(channel)
        return None

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
        self._running = False

    @classmethod
    def from_channel(cls, channel: socket.socket, supervisor: int | None) -> Task:
        """Wait for the clone. Raises LaunchFailed."""
        message, descriptors = protocol.receive(channel, protocol.Cloned, protocol.Failed)
        if isinstance(message, protocol.Failed):
            if supervisor is not None:
                os.waitpid(supervisor, 0)
            raise explain(message)
        assert isinstance(message, protocol.Cloned)
        return cls(channel, message.pid, descriptors[0], supervisor)

    def release(self) -> None:
        """Let the child become the task. Raises LaunchFailed; `destroy` is still to be called."""
        try:
            protocol.send(self._channel, protocol.Release())
            message, _ = protocol.receive(self._channel, protocol.Running, protocol.Failed)
        except protocol.PeerGone:
            raise LaunchFailed("cannot prepare the task: its supervisor was killed") from None
        if isinstance(message, protocol.Failed):
            raise explain(message)
        self._running = True

    def fileno(self) -> int:
        """Polls readable when `exit_status` will not block."""
        return self._channel.fileno()

    def signal(self, number: int) -> None:
        """Send a signal to the running task; SIGKILL ends the container. One that ended is fine."""
        with contextlib.suppress(protocol.PeerGone):  # then it has ended, or the kernel has killed it
            protocol.send(self._channel, protocol.Signal(number))

    def exit_status(self) -> ExitStatus | None:
        """Wait for the end. None: the supervisor was killed, so the kernel killed the task."""
        self._running = False
        try:
            message, _ = protocol.receive(self._channel, protocol.Exited)
        except protocol.PeerGone:
            return None
        return ExitStatus(message.code, message.signal)

    def destroy(self) -> None:
        """End everything in the container and wait until it is gone. Idempotent."""
        if self._pidfd < 0:
            return
        if self._running:
            self.signal(signal.SIGKILL)
            self.exit_status()
        self._channel.close()  # before the release, this is what ends the child
        _wait_for_end(self._pidfd)
        os.close(self._pidfd)
        self._pidfd = -1
        if self._supervisor is not None:
            os.waitpid(self._supervisor, 0)
            self._supervisor = None


def _wait_for_end(pidfd: int) -> None:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.poll()
