"""What all launchers share: requests, and supervisors forked here or by a fork server.

A supervisor has to be forked from a single-threaded process. A program that launches once and has
one thread (the command line) forks it itself; every other one has a fork server do it.
"""

from __future__ import annotations

import _thread
import contextlib
import importlib
import socket
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from launcher import protocol
from launcher.data import Data
from launcher.errors import LaunchFailed
from launcher.launch_info import LaunchInfo
from launcher.stdio import Service, Stdio
from launcher.task import Outcome, Task, collect

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


class Launcher(ABC):
    """Launches tasks. With `in_process` the calling process forks the supervisors; see above."""

    supervisor: str  # the module of this package that forked supervisors run

    def __init__(self, *, in_process: bool = False) -> None:
        self._in_process = in_process
        self._server: ForkServer | None = None
        self._lock = _thread.allocate_lock()  # held to make a server: a second one would be nobody's

    @abstractmethod
    def launch(self, request: LaunchRequest) -> Task:
        """Make the container's first process. It blocks until `Task.release`.

        Raises LaunchFailed, or InvalidRequest for what would touch the host; then nothing is left.
        """

    @abstractmethod
    def _has_one_thread(self) -> bool:
        """Whether this process has."""

    def close(self) -> None:
        """Stop the fork server; the containers run on."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def _start(
        self,
        request: protocol.Launch,
        descriptors: Sequence[int],
        outcome: Outcome,
        task: type[Task] = Task,
    ) -> Task:
        """Have a supervisor forked, and its child cloned. Raises LaunchFailed."""
        supervisor = None
        channel, supervisor_end = protocol.channel()
        try:
            with supervisor_end:
                supervisor = self._fork_supervisor(supervisor_end, request, descriptors)
            return task.from_channel(channel, supervisor, outcome)
        except BaseException as error:
            channel.close()
            collect(supervisor)
            if isinstance(error, protocol.PeerGone):
                raise LaunchFailed("cannot clone the child: the supervisor was killed") from None
            if isinstance(error, OSError):
                raise LaunchFailed(f"cannot fork the supervisor: {error}") from error
            raise

    def _fork_supervisor(
        self, channel: socket.socket, request: protocol.Launch, descriptors: Sequence[int]
    ) -> int | None:
        """Its pid if it is our child, to be collected."""
        if self._in_process and self._has_one_thread():
            # Here, since a supervisor that is forked from this process needs it in memory already.
            from launcher import fork

            main = importlib.import_module(f"launcher.{self.supervisor}").prepare(settled=False)
            return fork.fork_supervisor(main, channel, protocol.encode(request), descriptors)
        with self._lock:
            if self._server is None:
                from launcher.forkserver_client import ForkServer  # subprocess: 7 ms that `run` spares

                self._server = ForkServer(self.supervisor)
            server = self._server
        with contextlib.suppress(protocol.PeerGone):  # then it has said why
            server.fork(channel, request, descriptors)
        return None
