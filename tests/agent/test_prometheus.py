"""Prometheus itself reads the agent's metrics, and the dashboard asks for nothing that is not there."""

from __future__ import annotations

import contextlib
import json
import re
import select
import signal
import socket
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agent import api
from tests.agent.process import TIMEOUT, AgentProcess, started

DASHBOARD = Path(__file__).resolve().parents[2] / "docs" / "grafana-dashboard.json"

CONFIGURATION = """
global: {{scrape_interval: 100ms, scrape_timeout: 100ms}}
scrape_configs:
  - job_name: agent
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


@pytest.mark.requires("root", "cgroup", "prometheus")
def test_prometheus_scrapes_the_agent(tmp_path: Path) -> None:
    with started(tmp_path / "root", tmp_path / "state") as agent:
        api.launch(agent, "web", "sleep 60", limits={"mem": {"value": 64}})
        try:
            with forwarded(agent) as target, prometheus(tmp_path, target) as server:
                ((container, limit),) = query(server, "containerizer_container_memory_limit_bytes")
                assert (container["container"], limit) == ("web", str(64 << 20))
                assert query(server, "containerizer_launch_seconds_count")[0][1] == "1"
                known = names(server)
        finally:
            api.kill(agent, "web")
            api.wait(agent, "web")
            api.remove(agent, "web")
        agent.stop()
    asked = set(re.findall(r"containerizer_\w+", DASHBOARD.read_text()))
    missing = {name for name in asked if name not in known}
    # What has a label of how it went is there only when something has.
    assert missing <= {"containerizer_launch_failures_total", "containerizer_ends_total"}


@contextlib.contextmanager
def forwarded(agent: AgentProcess) -> Iterator[int]:
    """A TCP port that leads to the agent's Unix socket: Prometheus knows TCP only."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_forward, args=(listener, str(agent.socket)))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(TIMEOUT)


def _forward(listener: socket.socket, path: str) -> None:
    """One connection after another, an answer each."""
    with contextlib.suppress(OSError):  # shut down
        while True:
            client, _ = listener.accept()
            with client, socket.socket(socket.AF_UNIX) as agent:
                agent.connect(path)
                _copy(client, agent)


def _copy(one: socket.socket, other: socket.socket) -> None:
    """Both ways, until either ends."""
    poll = select.poll()
    ends = {one.fileno(): (one, other), other.fileno(): (other, one)}
    for descriptor in ends:
        poll.register(descriptor, select.POLLIN)
    while True:
        for descriptor, _ in poll.poll():
            source, target = ends[descriptor]
            data = source.recv(65536)
            if not data:
                return
            target.sendall(data)


@contextlib.contextmanager
def prometheus(directory: Path, target: int) -> Iterator[str]:
    """One that scrapes the target; its address."""
    configuration = directory / "prometheus.yml"
    configuration.write_text(CONFIGURATION.format(port=target))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    argv = [
        "prometheus",
        f"--config.file={configuration}",
        f"--storage.tsdb.path={directory}/data",
        f"--web.listen-address={address}",
    ]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield address
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(TIMEOUT)


def query(address: str, expression: str) -> list[tuple[dict[str, str], str]]:
    """(labels, value) of each, once there is one."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        try:
            found = ask(address, f"query?query={urllib.parse.quote(expression)}")["result"]
        except OSError:  # it has not started yet
            found = []
        if found:
            return [(each["metric"], each["value"][1]) for each in found]
        assert time.monotonic() < deadline, f"nothing of {expression}"
        select.poll().poll(50)  # it has no event to wait for


def names(address: str) -> set[str]:
    return set(ask(address, "label/__name__/values"))


def ask(address: str, path: str) -> Any:
    with urllib.request.urlopen(f"http://{address}/api/v1/{path}", timeout=TIMEOUT) as response:
        return json.load(response)["data"]
