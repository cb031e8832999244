"""The posix launcher: tasks as sessions of processes, on any Unix and for any user.

No namespace, no root filesystem, no cgroup: the task is a process of the host, with a supervisor of
its own. What is asked of it beyond that is refused, never dropped.
"""

from __future__ import annotations

import os
import socket
import threading

from launcher import protocol, session
from launcher.base import Launcher, LaunchRequest
from launcher.errors import InvalidRequest
from launcher.failure import explain
from launcher.stdio import Inherit, to_json
from launcher.task import Outcome, Task, collect, end_container

_SUPPORTED = frozenset(
    ("argv", "environment", "working_directory", "user", "stop_signal", "rlimits", "nice", "umask")
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
            stdio=to_json(request.stdio),
            service=None,
            reaper=tuple(request.reaper),
            launch_info=request.info.to_json(),
        )
        return self._start(message, request.stdio.descriptors, Outcome(), PosixTask)

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

    def _has_one_thread(self) -> bool:
        return threading.active_count() == 1


class PosixTask(Task):
    """A launched task. What starts a session of its own, a daemon, is not found by `destroy`.

    When its supervisor is killed the task lives on until `destroy`.
    """

    @classmethod
    def from_channel(cls, channel: socket.socket, supervisor: int | None, outcome: Outcome) -> PosixTask:
        """Wait for the fork. Raises LaunchFailed."""
        try:
            message, _ = protocol.receive(channel, protocol.Cloned, protocol.Failed)
        except BaseException:
            end_container(channel)  # we were interrupted
            raise
        if isinstance(message, protocol.Failed):
            raise explain(message)
        assert isinstance(message, protocol.Cloned)
        return cls(channel, message.pid, -1, supervisor, outcome)

    def destroy(self) -> None:
        """End everything in the task's session and wait until it is gone. Idempotent."""
        if self._channel.fileno() < 0:
            return
        end_container(self._channel)
        if self._status is None and self._is_ours():
            session.kill(self.pid)  # its supervisor was killed, or it never ran
        self._channel.close()
        collect(self._supervisor)
        self._supervisor = None

    def _is_ours(self) -> bool:
        """Whether the pid is still the task's, as far as one can know without a pidfd.

        It is nobody else's while the session has members, and who got it since rarely leads one.
        """
        try:
            return os.getsid(self.pid) == self.pid
        except OSError:
            return True
