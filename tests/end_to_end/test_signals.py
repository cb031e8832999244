"""What happens to a container when its command is signalled, or killed."""

from __future__ import annotations

import os
import select
import signal
import subprocess

import pytest

from tests.end_to_end.conftest import Cli, parent

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox")


def _ready(process: subprocess.Popen[str]) -> None:
    assert _line(process) == "ready\n"


def _line(process: subprocess.Popen[str]) -> str:
    """The next line, for tasks that write one and wait: there is nothing in Python's buffer then."""
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], 30)[0], "no line came"
    return process.stdout.readline()


@pytest.mark.parametrize("name", ["TERM", "INT", "HUP", "USR1"])
def test_a_signal_goes_on_to_the_task(cli: Cli, busybox: str, name: str) -> None:
    script = f"trap 'echo got {name}; exit 5' {name}; echo ready; while :; do :; done"
    with cli.start("run", "--rm", busybox, "sh", "-c", script) as process:
        _ready(process)
        process.send_signal(signal.Signals[f"SIG{name}"])
        output, errors = process.communicate(timeout=30)
    assert (process.returncode, output, errors) == (5, f"got {name}\n", "")


@pytest.mark.anyone
def test_a_task_that_does_not_listen_is_killed_at_the_third_time(cli: Cli, busybox: str) -> None:
    script = "trap 'echo no' INT; echo ready; while :; do :; done"
    with cli.start("run", "--rm", busybox, "sh", "-c", script) as process:
        _ready(process)
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            assert _line(process) == "no\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 137
    assert "killing the container" in errors


@pytest.mark.parametrize("keep", [False, True])
def test_a_container_outlives_its_command_and_is_cleaned_up_after(cli: Cli, busybox: str, keep: bool) -> None:
    """kill -9 of the command: the task goes on, and its supervisor cleans up when it ends."""
    options = ["--name", "orphan", *([] if keep else ["--rm"])]
    with cli.start("run", *options, "-i", busybox, "sh", "-c", "echo ready; read line; exit 4") as process:
        assert process.stdin is not None
        _ready(process)
        (listed,) = cli.containers()
        supervisor = os.pidfd_open(parent(int(str(listed["pid"]))))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert [c["running"] for c in cli.containers()] == [True]
        process.stdin.write("go on\n")
        process.stdin.close()
        assert select.select([supervisor], [], [], 30)[0], "its process ends as the reaper"
        os.close(supervisor)
    if keep:
        (listed,) = cli.containers()
        assert listed["termination"] == {"exit_status": {"code": 4, "signal": None}, "limitation": None}
        assert cli("rm", "orphan").returncode == 0
    assert cli.containers() == []


def test_a_running_container_is_not_removed(cli: Cli, busybox: str) -> None:
    with cli.start("run", "--rm", "--name", "busy", busybox, "sh", "-c", "echo ready; sleep 1000") as process:
        _ready(process)
        refused = cli("rm", "busy")
        in_use = cli("rmi", busybox)
    assert (refused.returncode, in_use.returncode) == (125, 125)
    assert "is running" in refused.stderr
    assert "busy" in in_use.stderr
