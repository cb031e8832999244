"""A relay, the process that serves stdio, is killed: the task goes on, and so does who follows its log."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import pytest

from containerizer.client import AgentClient
from tests.agent import api
from tests.agent.process import started
from tests.end_to_end.conftest import Cli
from tests.launcher.support import wait_for_end

pytestmark = pytest.mark.requires("root")

_TIMEOUT = 60

# Tells each line that comes in by a fifo, until one that says "end".
_COUNTS = (
    'exec 3<>%s; echo ready; while read line <&3; do [ "$line" = end ] && exit 7; echo "got $line"; done'
)


def _relays(state: Path) -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"{state}/relays/".encode() in (process / "cmdline").read_bytes():
                found.append(int(process.name))
    return found


def _kill_the_relay(state: Path) -> None:
    (relay,) = _relays(state)
    pidfd = os.pidfd_open(relay)
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    wait_for_end(pidfd)


def test_logs_are_followed_on(fresh: Cli, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    assert fresh("run", "-d", "--name", "counts", "host", "sh", "-c", _COUNTS % fifo).returncode == 0
    with fresh.start("logs", "-f", "counts") as logs:
        assert logs.stdout is not None
        assert logs.stdout.readline() == "ready\n"
        for number in range(3):
            _kill_the_relay(fresh.state)
            fifo.write_text(f"{number}\n")
            assert logs.stdout.readline() == f"got {number}\n"
        fifo.write_text("end\n")
        assert logs.wait(_TIMEOUT) == 0
        assert logs.stderr is not None
        assert logs.stderr.read() == ""
    assert fresh("wait", "counts").stdout == "7\n"
    assert fresh("rm", "counts").returncode == 0
    fresh.wait_for_reapers()


def test_what_is_lost_is_told(fresh: Cli, tmp_path: Path) -> None:
    """The task ends before anybody else reads its output."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    assert fresh("run", "-d", "--name", "counts", "host", "sh", "-c", _COUNTS % fifo).returncode == 0
    with fresh.start("logs", "-f", "counts") as logs:
        assert logs.stdout is not None and logs.stderr is not None
        assert logs.stdout.readline() == "ready\n"
        logs.send_signal(signal.SIGSTOP)
        _kill_the_relay(fresh.state)
        fifo.write_text("last\nend\n")
        assert fresh("wait", "counts").stdout == "7\n"
        logs.send_signal(signal.SIGCONT)
        assert logs.wait(_TIMEOUT) == 0
        assert "what that wrote last is missing" in logs.stderr.read()
    assert fresh("rm", "counts").returncode == 0
    fresh.wait_for_reapers()


def test_an_agent_notices_and_serves_again(tmp_path: Path) -> None:
    """Nobody attaches meanwhile."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    root, state = tmp_path / "root", tmp_path / "state"
    with started(root, state) as agent:
        client = AgentClient(f"unix://{agent.socket}")
        with client.events() as events:
            api.launch(agent, "counts", _COUNTS % fifo)
            with client.logs("counts", follow=True) as entries:
                assert next(entries).data == b"ready\n"
                for number in range(2):
                    _kill_the_relay(state)
                    event = next(event for event in events if event.kind == "relay-failed")
                    assert (event.subject, event.details["tasks"]) == ("0", "1")
                    assert next(event for event in events if event.kind == "relay-replaced").subject == "0"
                    fifo.write_text(f"{number}\n")
                    assert next(entries).data == f"got {number}\n".encode()
                fifo.write_text("end\n")
                assert list(entries) == []
        assert b"containerizer_relay_failures_total 2.0" in agent.request("GET", "/metrics")[1]
        assert os.waitstatus_to_exitcode(api.wait(agent, "counts")["exit_status"]) == 7
        api.remove(agent, "counts")
        agent.stop()
