"""An agent that serves the API on a Unix socket, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.http import Client

ROOT = Path(__file__).resolve().parent.parent.parent
TIMEOUT = 60  # seconds until the agent counts as hung

LOG = "the agent's log\n"

Id = dict[str, Any]
Launch = Callable[..., Id]


class Agent:
    """The process of tests.api.serve."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.socket = str(directory / "agent.sock")
        self.client = Client(self.socket)
        self.first = new_id("first")
        (directory / "agent.log").write_text(LOG)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.api.serve", str(directory)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    def stop(self) -> None:
        self._process.communicate(timeout=TIMEOUT)
        assert self._process.returncode == 0

    def sandbox(self, container_id: Id) -> Path:
        """Of a container at the top."""
        return self.directory / "root" / "containers" / str(container_id["value"])


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    """One for all tests of a file. The container that it always has keeps fork server and cgroups there."""
    agent = Agent(tmp_path_factory.mktemp("agent"))
    launch = {"container_id": agent.first, "command": {"value": "exec sleep 1000", "shell": True}}
    agent.client.answer({"type": "LAUNCH_CONTAINER", "launch_container": launch})
    yield agent
    agent.stop()


@pytest.fixture
def client(agent: Agent) -> Client:
    return agent.client


def new_id(name: str, parent: Id | None = None) -> Id:
    """One that no other test session has: cgroups are the host's."""
    own: Id = {"value": f"{name}-{os.urandom(3).hex()}"}
    return own | {"parent": parent} if parent else own


@pytest.fixture
def launched(client: Client) -> Iterator[Launch]:
    """Launch a container of a shell's; it is removed after the test."""
    ids: list[Id] = []

    def launch(script: str, parent: Id | None = None, **more: Any) -> Id:
        container_id = new_id("test", parent)
        asked = {"container_id": container_id, "command": {"value": script, "shell": True}, **more}
        assert client.answer({"type": "LAUNCH_CONTAINER", "launch_container": asked}) == {}
        ids.append(container_id)
        return container_id

    yield launch
    for container_id in reversed(ids):
        asked = {"container_id": container_id, "force": True}
        client.answer({"type": "REMOVE_CONTAINER", "remove_container": asked})
