"""Clients of an agent for the benchmark: one connection each, kept, and calls in JSON."""

from __future__ import annotations

import http.client
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TIMEOUT = 120  # seconds until something counts as hung
HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}


class Client:
    """Belongs to one thread."""

    def __init__(self, path: str, image: str) -> None:
        self._connection = http.client.HTTPConnection("agent", timeout=TIMEOUT)
        self._connection.sock = socket.socket(socket.AF_UNIX)
        self._connection.sock.settimeout(TIMEOUT)
        self._connection.sock.connect(path)
        self._image = {"type": "DOCKER", "cached": True, "docker": {"name": image}}

    def close(self) -> None:
        self._connection.close()

    def request(self, method: str, path: str, body: Any = None) -> Any:
        self._connection.request(method, path, None if body is None else json.dumps(body), HEADERS)
        response = self._connection.getresponse()
        text = response.read()
        assert response.status == 200, (path, response.status, text)
        return json.loads(text) if text else None

    def call(self, kind: str, name: str, **fields: Any) -> Any:
        body = {"type": kind, kind.lower(): {"container_id": {"value": name}, **fields}}
        return self.request("POST", "/api/v1", body)

    def launch(self, name: str, *argv: str) -> None:
        """With the limits of the other benchmarks."""
        self.call(
            "LAUNCH_CONTAINER",
            name,
            command={"shell": False, "value": argv[0], "arguments": list(argv)},
            container={"type": "MESOS", "mesos": {"image": self._image}},
            limits={"mem": {"value": 64}, "cpus": {"value": 0.5}, "pids": {"value": 20}},
        )

    def whole_life(self, name: str) -> None:
        """Launch, wait, remove."""
        self.launch(name, "true")
        self.call("WAIT_CONTAINER", name)
        self.call("REMOVE_CONTAINER", name)


class Agent:
    """A running one."""

    def __init__(self, process: subprocess.Popen[bytes], path: str, ready_after: float) -> None:
        self.process = process
        self.socket = path
        self.ready_after = ready_after  # seconds from its start until everything is taken back

    def figures(self) -> dict[str, int]:
        """What must not grow: of the agent and its lanes together."""
        pid = self.process.pid
        lanes = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        processes = [Path("/proc", each) for each in (str(pid), *lanes)]
        return {
            "processes": len(processes),
            "fds": sum(len(os.listdir(each / "fd")) for each in processes),
            "threads": sum(len(os.listdir(each / "task")) for each in processes),
            "RSS, MiB": sum(_kib(each / "status", "VmRSS") for each in processes) // 1024,
            "PSS, MiB": sum(_kib(each / "smaps_rollup", "Pss") for each in processes) // 1024,
            "cgroups": sum(1 for _ in Path("/sys/fs/cgroup").glob("*/containerizer*/ct-*")),
            "mounts": len(Path("/proc/self/mountinfo").read_text().splitlines()),
        }

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(TIMEOUT)


def _kib(file: Path, field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB", file.read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


@contextmanager
def started(directories: tuple[str, str]) -> Iterator[Agent]:
    """Recovered; stopped at the end of the context."""
    root, state = directories
    address = f"\0bench-agent-{os.urandom(8).hex()}"
    argv = [sys.executable, "-m", "containerizer", "--root", root, "--state", state, "agent"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
        ready.bind(address)
        environment = {**os.environ, "NOTIFY_SOCKET": address.replace("\0", "@", 1)}
        begun = time.perf_counter()
        command = [*argv, "--logging-level=WARNING"]
        with subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL) as process:
            try:
                poll = select.poll()
                poll.register(ready, select.POLLIN)
                assert poll.poll(TIMEOUT * 1000), "the agent does not start"
                yield Agent(process, os.path.join(state, "agent.sock"), time.perf_counter() - begun)
            finally:
                process.terminate()
                process.wait(TIMEOUT)
