"""The launcher's side of a fork server: starts it on demand, and again if it has died.

There are two kinds of them: a machine (launcher/machine_server.py), and where there can be none, or
where what is started is no machine, an interpreter (launcher/forkserver.py).
"""

from __future__ import annotations

import _thread
import socket
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from launcher import protocol
from launcher.data import Data
from launcher.errors import LaunchFailed

if TYPE_CHECKING:
    import subprocess

# Isolated (-I) and without site (-S): no path of the environment or the working directory is
# searched for modules, and nothing is imported that a supervisor does not use.
_BOOTSTRAP = """import sys; sys.path.insert(0, sys.argv[2])
from launcher import forkserver, {0}; forkserver.main({0}.Starter)"""
_IMPORT_ROOT = str(Path(__file__).resolve().parent.parent)


class ForkServer(ABC):
    """A fork server that belongs to this process. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = _thread.allocate_lock()
        self._requests: socket.socket | None = None

    @property
    @abstractmethod
    def pid(self) -> int | None:
        """Of its process, if there is one."""

    @abstractmethod
    def _execute(self, end: socket.socket) -> None:
        """Start the process on this end of the channel of requests. Raises OSError."""

    @abstractmethod
    def _collect(self) -> None:
        """Wait for the process, which ends as the channel has."""

    @abstractmethod
    def _ask(self, requests: socket.socket, request: Data, descriptors: Sequence[int]) -> None:
        """Send a request. Raises PeerGone."""

    def start(self, channel: socket.socket, request: Data, descriptors: Sequence[int]) -> None:
        """Have a supervisor started on `channel`; a failure to start it is told there.

        Raises OSError, LaunchFailed.
        """
        with self._lock:
            for _ in range(2):
                if self._requests is None:
                    self._requests = self._start()
                try:
                    self._ask(self._requests, request, [channel.fileno(), *descriptors])
                    return
                except protocol.PeerGone:
                    self._stop()  # it was killed since the last launch; one more try with a new one
        raise LaunchFailed("cannot fork the supervisor: the fork server ends as soon as it starts")

    def close(self) -> None:
        """End the server. The supervisors it started run on."""
        with self._lock:
            self._stop()

    def _start(self) -> socket.socket:
        requests, end = protocol.channel()
        try:
            with end:
                self._execute(end)
        except BaseException:
            requests.close()
            raise
        return requests

    def _stop(self) -> None:
        if self._requests is not None:
            self._requests.close()
            self._requests = None
        self._collect()


class PythonServer(ForkServer):
    """An interpreter."""

    def __init__(self, supervisor: str) -> None:
        """`supervisor`: the module of this package that starts them."""
        super().__init__()
        self._bootstrap = _BOOTSTRAP.format(supervisor)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def _execute(self, end: socket.socket) -> None:
        import subprocess  # 7 ms, for who needs an interpreter here

        number, null = end.fileno(), subprocess.DEVNULL
        argv = [sys.executable, "-I", "-S", "-c", self._bootstrap, str(number), _IMPORT_ROOT]
        self._process = subprocess.Popen(argv, pass_fds=(number,), stdin=null, stdout=null, cwd="/")

    def _collect(self) -> None:
        if self._process is not None:
            self._process.wait()
            self._process = None

    def _ask(self, requests: socket.socket, request: Data, descriptors: Sequence[int]) -> None:
        protocol.send(requests, request, descriptors)
