"""What all launchers share: requests, and supervisors started here or by a fork server.

A program that launches once (the command line) starts the supervisor itself. Every other one has a fork
server do it: then a supervisor that ends is no child of the program's, which need not collect it.
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
from launcher.supervision import Starter
from launcher.task import Task

if TYPE_CHECKING:
    from launcher.forkserver_client import ForkServer


class LaunchRequest(Data, kw_only=True):
    """One launch."""

    container_id: str
    info: LaunchInfo
    stdio: Stdio
    # The same for a placeholder: equal but for the name, which is as long as this container's. Launches
    # like one request are written by one template (launcher/template.py).
    like: LaunchRequest | None = None
    service: Service | None = None  # required by, and only for, what is not inherited
    exit_status_path: str  # the supervisor records the exit status here; absolute
    reaper: Sequence[str] = ()  # argv the supervisor ends in when the launcher is gone by then,
    caretaker: str | None = None  # unless somebody holds this lock file, flock(2), and cleans up instead


class Launcher(ABC):
    """Launches tasks. With `in_process` the calling process starts the supervisors; see above."""

    supervisor: str  # the module of this package that has their Starter

    def __init__(self, *, in_process: bool = False) -> None:
        self._in_process = in_process
        self._own: Starter | None = None
        self._server: ForkServer | None = None
        self._lock = _thread.allocate_lock()  # held to make a server: a second one would be nobody's

    @abstractmethod
    def launch(self, request: LaunchRequest) -> Task:
        """Make the container's first process. It blocks until `Task.release`.

        Raises LaunchFailed, or InvalidRequest for what would touch the host; then nothing is left.
        """

    def _may_start(self) -> bool:
        """Whether this process, as it is now, may start a supervisor."""
        return True

    def close(self) -> None:
        """Stop the fork server; the containers run on."""
        if self._own is not None:
            self._own.close()
            self._own = None
        if self._server is not None:
            self._server.close()
            self._server = None

    def _start(self, channel: socket.socket, request: Data, descriptors: Sequence[int]) -> int | None:
        """Have a supervisor started on a channel. Returns its pid if it is our child. Raises LaunchFailed."""
        try:
            if self._in_process and self._may_start():
                return self._starter().start(channel.fileno(), protocol.encode(request), descriptors)
            with contextlib.suppress(protocol.PeerGone):  # then it has said why
                self._fork_server().start(channel, request, descriptors)
        except OSError as error:
            raise LaunchFailed(f"cannot fork the supervisor: {error}") from error
        return None

    def _starter(self) -> Starter:
        if self._own is None:
            self._own = importlib.import_module(f"launcher.{self.supervisor}").Starter()
        return self._own

    def _fork_server(self) -> ForkServer:
        with self._lock:
            if self._server is None:
                self._server = self._make_server()
            return self._server

    def _make_server(self) -> ForkServer:
        """Not started yet. Raises OSError."""
        from launcher.forkserver_client import PythonServer  # what `run` spares

        return PythonServer(self.supervisor)
