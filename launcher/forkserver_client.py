"""The launcher's side of the fork server: starts it on demand, and again if it has died."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from launcher import protocol
from launcher.data import Data
from launcher.errors import LaunchFailed

# Isolated (-I) and without site (-S): no path of the environment or the working directory is
# searched for modules, and nothing is imported that a supervisor does not use.
_BOOTSTRAP = """import sys; sys.path.insert(0, sys.argv[2])
from launcher import forkserver, {0}; forkserver.main({0}.Starter)"""
_IMPORT_ROOT = str(Path(__file__).resolve().parent.parent)


class ForkServer:
    """A fork server that belongs to this process. Safe to use from several threads."""

    def __init__(self, supervisor: str) -> None:
        """`supervisor`: the module of this package that starts them."""
        self._bootstrap = _BOOTSTRAP.format(supervisor)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._requests: socket.socket | None = None

    def start(self, channel: socket.socket, request: Data, descriptors: Sequence[int]) -> None:
        """Have a supervisor started on `channel`; a failure to start it is told there."""
        with self._lock:
            for _ in range(2):
                if self._requests is None:
                    self._requests = self._start()
                try:
                    protocol.send(self._requests, request, [channel.fileno(), *descriptors])
                    return
                except protocol.PeerGone:
                    self._stop()  # it was killed since the last launch; one more try with a new one
        raise LaunchFailed("cannot fork the supervisor: the fork server ends as soon as it starts")

    def close(self) -> None:
        """End the server. The supervisors it started run on."""
        with self._lock:
            self._stop()

    def _start(self) -> socket.socket:
        requests, server_end = protocol.channel()
        with server_end:
            number = server_end.fileno()
            argv = [sys.executable, "-I", "-S", "-c", self._bootstrap, str(number), _IMPORT_ROOT]
            self._process = subprocess.Popen(
                argv, pass_fds=(number,), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd="/"
            )
        return requests

    def _stop(self) -> None:
        if self._requests is not None:
            self._requests.close()
            self._requests = None
        if self._process is not None:
            self._process.wait()
            self._process = None
