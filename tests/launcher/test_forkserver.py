"""The fork server may die at any moment, be refused a process, or hear nonsense."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.errors import LaunchFailed
from launcher.exit_status import ExitStatus
from launcher.forkserver_client import ForkServer
from launcher.linux import LinuxLauncher
from tests.launcher.support import WAITS, Launches, kill, wait_for_end

pytestmark = pytest.mark.requires("root")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Launches]:
    launches = Launches(LinuxLauncher(), tmp_path)
    assert launches.run("true").status == ExitStatus(code=0)
    yield launches
    launches.close()


def server_of(launches: Launches) -> int:
    server = launches.launcher._server
    assert isinstance(server, ForkServer)
    assert server.pid is not None
    return server.pid


def test_a_killed_fork_server_is_replaced_and_its_tasks_run_on(served: Launches) -> None:
    old = server_of(served)
    first = served.start("sh", "-c", "echo runs; read line; exit 4")
    first.line()
    kill(old)
    assert served.run("echo", "again").stdout == "again\n"
    assert server_of(served) != old
    first.end_input()
    assert first.task.exit_status() == ExitStatus(code=4)


def test_a_malformed_request_harms_only_the_fork_server(served: Launches) -> None:
    server = served.launcher._server
    assert server is not None
    assert server._requests is not None
    first = served.start(*WAITS)
    ended = os.pidfd_open(server_of(served))
    server._requests.send(b"nonsense")
    wait_for_end(ended)
    assert served.run("echo", "again").stdout == "again\n"
    assert first.line() == "runs"


@pytest.fixture
def few_processes() -> Iterator[Path]:
    cgroup = Path(f"/sys/fs/cgroup/pids/containerizer-test-{os.getpid()}")
    cgroup.mkdir()
    yield cgroup
    for pid in (cgroup / "cgroup.procs").read_text().split():  # a supervisor that has said its last word
        with contextlib.suppress(ProcessLookupError):
            wait_for_end(os.pidfd_open(int(pid)))
    cgroup.rmdir()


@pytest.mark.requires("cgroup1")
@pytest.mark.parametrize(("room", "what"), [(0, "fork the supervisor"), (1, "clone the child")])
def test_no_room_for_another_process(few_processes: Path, served: Launches, room: int, what: str) -> None:
    (few_processes / "cgroup.procs").write_text(str(server_of(served)))
    (few_processes / "pids.max").write_text(str(1 + room))
    with pytest.raises(LaunchFailed, match=f"cannot {what}.*: resource temporarily unavailable"):
        served.clone("true")
    (few_processes / "pids.max").write_text("max")
    assert served.run("echo", "again").stdout == "again\n"
