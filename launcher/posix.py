"""The posix launcher: tasks as sessions of processes, on any Unix and for any user.

No namespace, no root filesystem, no cgroup: the task is a process of the host, with a supervisor of
its own. What is asked of it beyond that is refused, never dropped.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading

from launcher import protocol, session
from launcher.base import Launcher, LaunchRequest
from launcher.errors import InvalidRequest, LaunchFailed
from launcher.exit_status import ExitStatus
from launcher.failure import explain
from launcher.process_attributes import Clamped
from launcher.stdio import Inherit
from launcher.task import Task

_SUPPORTED = frozenset(
    (
        *("argv", "environment", "secret_environment", "working_directory", "user", "stop_signal"),
        *("rlimits", "nice", "umask"),
    )
)


class PosixLauncher(Launcher):
    """Launches tasks in sessions of their own."""

    supervisor = "posix_supervisor"

    def launch(self, request: LaunchRequest) -> Task:
        self._validate(request)
        assert isinstance(request.stdio, Inherit)
        message = protocol.Launch(
            container_id=request.container_id,
            exit_status_path=request.exit_status_path,
            reaper=tuple(request.reaper),
            caretaker=request.caretaker,
            launch_info=request.info.to_json(),
        )
        channel, theirs = protocol.channel()
        try:
            with theirs:
                supervisor = self._start(theirs, message, request.stdio.descriptors)
            return PosixTask(channel, supervisor)
        except BaseException:
            channel.close()
            raise

    def _validate(self, request: LaunchRequest) -> None:
        if not request.info.argv:
            raise InvalidRequest("no command to execute", hint="name one")
        if not isinstance(request.stdio, Inherit):
            raise InvalidRequest(
                "the posix launcher serves no pipes and no terminal", hint="run in the foreground"
            )
        for name in sorted(request.info.asked().keys() - _SUPPORTED):
            raise InvalidRequest(
                f"the posix launcher has no {name}", hint="use the linux launcher, or load fewer isolators"
            )

    def _may_start(self) -> bool:
        # Or there would be locks in the fork that nobody ever releases.
        return threading.active_count() == 1


class PosixTask(Task):
    """A launched task. What starts a session of its own, a daemon, is not found by `destroy`.

    When its supervisor is killed the task lives on until `destroy`.
    """

    def __init__(self, channel: socket.socket, supervisor: int | None) -> None:
        """Wait for the fork. Raises LaunchFailed."""
        super().__init__(channel, -1, supervisor)
        try:
            message, _ = protocol.receive(channel, protocol.Cloned, protocol.Failed)
        except BaseException as error:
            self._end_container()  # we were interrupted, or
            self._collect_supervisor()
            if isinstance(error, protocol.PeerGone):
                raise LaunchFailed("cannot fork the child: the supervisor was killed") from None
            raise
        if isinstance(message, protocol.Failed):
            self._collect_supervisor()
            raise explain(message)
        assert isinstance(message, protocol.Cloned)
        self.pid = message.pid

    def release(self) -> None:
        try:
            self._send_release()
            message, _ = protocol.receive(self._channel, protocol.Running, protocol.Failed)
        except protocol.PeerGone:
            raise LaunchFailed("cannot prepare the task: its supervisor was killed") from None
        if isinstance(message, protocol.Failed):
            raise explain(message)
        assert isinstance(message, protocol.Running)
        self.clamped = tuple(Clamped(**clamped) for clamped in message.clamped)

    def _send_release(self) -> None:
        with contextlib.suppress(protocol.PeerGone):  # then it has said why
            protocol.send(self._channel, protocol.Release())

    def _send_signal(self, number: int) -> None:
        with contextlib.suppress(protocol.PeerGone):  # then it has ended
            protocol.send(self._channel, protocol.Signal(number))

    def _receive_status(self) -> ExitStatus | None:
        try:
            message, _ = protocol.receive(self._channel, protocol.Exited, protocol.Failed)
        except protocol.PeerGone:
            return None
        if isinstance(message, protocol.Failed):
            raise explain(message)
        assert isinstance(message, protocol.Exited)
        return ExitStatus(message.code, message.signal)

    def destroy(self) -> None:
        """End everything in the task's session and wait until it is gone. Idempotent."""
        if self._channel.fileno() < 0:
            return
        self._end_container()
        if self._status is None and self._is_ours():
            session.kill(self.pid)  # its supervisor was killed, or it never ran
        self._channel.close()
        self._collect_supervisor()

    def _end_container(self) -> None:
        """Have the supervisor end everything, and wait until it ends itself."""
        with contextlib.suppress(protocol.PeerGone):
            protocol.send(self._channel, protocol.Signal(signal.SIGKILL))
        with contextlib.suppress(protocol.PeerGone):
            while True:
                protocol.receive_unread(self._channel)

    def _is_ours(self) -> bool:
        """Whether the pid is still the task's, as far as one can know without a pidfd.

        It is nobody else's while the session has members, and who got it since rarely leads one.
        """
        try:
            return os.getsid(self.pid) == self.pid
        except OSError:
            return True
