"""An agent as a process of its own, and requests to it over its Unix socket."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

TIMEOUT = 60  # seconds until something counts as hung


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, timeout: float = TIMEOUT) -> None:
        super().__init__("agent", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class AgentProcess:
    """One that serves a pair of directories."""

    def __init__(self, process: subprocess.Popen[bytes], socket_path: Path, log: Path) -> None:
        self.process = process
        self.socket = socket_path
        self.log = log

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> tuple[int, bytes]:
        """The status and the body of the answer."""
        connection = UnixConnection(self.socket, timeout or TIMEOUT)
        with contextlib.closing(connection):
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return response.status, response.read()

    def get(self, path: str) -> Any:
        """The JSON of a successful answer."""
        status, body = self.request("GET", path)
        assert status == 200, (path, status, body)
        return json.loads(body)

    def kill(self) -> None:
        """At once, as a crash would."""
        self.process.kill()
        self.process.wait(TIMEOUT)

    def stop(self) -> str:
        """As an operator would; what it wrote."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(TIMEOUT)
        assert self.process.returncode == 0, self.log.read_text()
        return self.log.read_text()


def argv(root: Path, state: Path, *flags: str) -> list[str]:
    directories = ["--root", str(root), "--state", str(state)]
    return [sys.executable, "-m", "containerizer", *directories, "agent", *flags]


@contextlib.contextmanager
def started(
    root: Path,
    state: Path,
    *flags: str,
    environment: Mapping[str, str] | None = None,
    stderr: int | None = None,
    within: Sequence[str] = (),
) -> Iterator[AgentProcess]:
    """Running and recovered; whatever is left of it at the end of the context is killed.

    `within`: the command that executes it elsewhere, such as in other namespaces.
    """
    log = state.with_name("agent.log")  # a pipe that nobody reads would hold it up
    with ready_socket() as (address, ready), log.open("ab") as written:
        process = subprocess.Popen(
            [*within, *argv(root, state, *flags)],
            env={**os.environ, "NOTIFY_SOCKET": address, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=written if stderr is None else stderr,
        )
        with process:
            try:
                _wait_until_ready(process, ready, log)
                yield AgentProcess(process, state / "agent.sock", log)
            finally:
                if process.poll() is None:
                    process.kill()


@contextlib.contextmanager
def ready_socket() -> Iterator[tuple[str, socket.socket]]:
    """Where it says that it is ready: sd_notify(3). Abstract, for paths may be too long."""
    address = f"\0containerizer-test-{os.urandom(8).hex()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(address)
        yield address.replace("\0", "@", 1), receiver


def _wait_until_ready(process: subprocess.Popen[bytes], ready: socket.socket, log: Path) -> None:
    pidfd = os.pidfd_open(process.pid)
    try:
        poll = select.poll()
        poll.register(ready, select.POLLIN)
        poll.register(pidfd, select.POLLIN)
        events = dict(poll.poll(TIMEOUT * 1000))
    finally:
        os.close(pidfd)
    if ready.fileno() not in events:
        process.kill()
        raise AssertionError(f"the agent did not start: {log.read_text()}")
    assert ready.recv(64) == b"READY=1"
