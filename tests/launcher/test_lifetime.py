"""Who may die when: launcher, fork server, supervisor, child and task, in every order."""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from launcher import protocol
from launcher.errors import LaunchFailed
from launcher.exit_status import ExitStatus
from tests.launcher.support import (
    ALL_NEW,
    NO_PID_NAMESPACE,
    WAITS,
    Launches,
    drain,
    kill,
    parent,
    wait_for_end,
)

pytestmark = pytest.mark.requires("root")

# Leaves a process that is nobody's child, in a session of its own; its output holds our pipe open.
START_DAEMON = "(setsid sh -c 'echo $$; exec sleep 1000' &)"
DAEMON = f"{START_DAEMON}; read line"


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize("namespaces", [ALL_NEW, NO_PID_NAMESPACE], ids=["pid", "no pid"])
@pytest.mark.parametrize("stage", ["cloned", "running", "ended", "told", "failed"])
def test_destroy_at_every_stage(launches: Launches, stage: str, namespaces: dict[str, str]) -> None:
    launched = launches.clone(*(("/no/such",) if stage == "failed" else WAITS), namespaces=namespaces)
    pid, supervisor = launched.task.pid, launched.supervisor
    ended = os.pidfd_open(supervisor)
    if stage == "failed":
        with pytest.raises(LaunchFailed):
            launched.task.release()
    elif stage != "cloned":
        launched.task.release()
        launched.line()
    if stage in ("ended", "told"):
        launched.end_input()
        drain(launched.stdout)
    if stage == "told":
        assert launched.task.exit_status() == ExitStatus(code=1)
    for _ in range(2):
        launched.task.destroy()
    assert not is_there(pid)
    wait_for_end(ended)


def test_orphans_end_with_the_task(launches: Launches) -> None:
    """Daemons, which nothing but our being their subreaper ties to the container."""
    launched = launches.start("sh", "-c", DAEMON, namespaces=NO_PID_NAMESPACE)
    pid = int(launched.line())
    assert parent(pid) == launched.supervisor
    launched.end_input()
    assert drain(launched.stdout) == "", "the daemon has the pipe open until it ends"
    assert launched.task.exit_status() == ExitStatus(code=1)
    assert not is_there(pid)


def test_orphans_that_end_are_collected_meanwhile(launches: Launches) -> None:
    script = f"trap 'echo signalled' USR1; {START_DAEMON}; sleep 1000 & while :; do wait; done"
    launched = launches.start("sh", "-c", script, namespaces=NO_PID_NAMESPACE)
    pid = int(launched.line())
    ended = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    wait_for_end(ended)
    for _ in range(2):  # the supervisor handles an end that it was told of before a message
        launched.task.signal(signal.SIGUSR1)
        assert launched.line() == "signalled"
    assert not is_there(pid)


def test_closing_without_release_ends_the_child(launches: Launches) -> None:
    launched = launches.clone("echo", "never")
    ended = os.pidfd_open(launched.task.pid)
    launched.task._channel.shutdown(socket.SHUT_RDWR)
    wait_for_end(ended)
    assert drain(launched.stdout) == ""


def test_a_killed_supervisor_takes_the_task_along(launches: Launches) -> None:
    launched = launches.start(*WAITS)
    launched.line()
    ended = os.pidfd_open(launched.task.pid)
    kill(launched.supervisor)
    wait_for_end(ended)
    assert launched.task.exit_status() is None
    assert not launched.exit_status_path.exists()


def test_a_supervisor_killed_before_the_release(launches: Launches) -> None:
    launched = launches.clone("true")
    ended = os.pidfd_open(launched.task.pid)
    kill(launched.supervisor)
    with pytest.raises(LaunchFailed, match="its supervisor was killed"):
        launched.task.release()
    wait_for_end(ended)


DISOBEDIENT = """
import ctypes
ctypes.CDLL(None).prctl(1, 0, 0, 0, 0)  # PR_SET_PDEATHSIG
print("runs", flush=True)
input()
"""


def test_a_task_that_outlives_its_supervisor_is_destroyed(launches: Launches) -> None:
    """The task can undo the parent death signal; a change of its user does so too."""
    launched = launches.start(sys.executable, "-c", DISOBEDIENT, namespaces=NO_PID_NAMESPACE)
    launched.line()
    kill(launched.supervisor)
    assert launched.task.exit_status() is None
    assert is_there(launched.task.pid)
    launched.task.destroy()
    assert drain(launched.stdout) == ""


def test_a_child_killed_before_the_release(launches: Launches) -> None:
    launched = launches.clone("true")
    ended = os.pidfd_open(launched.task.pid)
    os.kill(launched.task.pid, signal.SIGKILL)
    wait_for_end(ended)
    with pytest.raises(LaunchFailed, match="cannot prepare the task: the child was killed"):
        launched.task.release()


def test_a_signal_that_crosses_the_end_does_not_hide_the_exit_status(launches: Launches) -> None:
    """The supervisor, stopped, finds both at once; what it does not read resets the channel."""
    launched = launches.start("sh", "-c", "echo runs; read line; exit 7")
    launched.line()
    supervisor = launched.supervisor
    ended = os.pidfd_open(launched.task.pid)
    os.kill(supervisor, signal.SIGSTOP)
    launched.end_input()
    wait_for_end(ended)
    launched.task.signal(signal.SIGTERM)
    launched.task.signal(signal.SIGKILL)
    os.kill(supervisor, signal.SIGCONT)
    gone = os.pidfd_open(supervisor)
    wait_for_end(gone)
    assert launched.task.exit_status() == ExitStatus(code=7)


def test_a_release_that_was_interrupted(launches: Launches) -> None:
    """The task may be there or not when destroy() comes; the answer to the release was not read."""
    launched = launches.clone(*WAITS)
    protocol.send(launched.task._channel, protocol.Release())
    launched.line()
    launched.task.destroy()
    assert not is_there(launched.task.pid)


@pytest.mark.parametrize("wrong", [protocol.Running(), protocol.Release()])
def test_a_supervisor_that_fails_ends_everything_and_says_why(launches: Launches, wrong: object) -> None:
    launched = launches.start("sh", "-c", DAEMON, namespaces=NO_PID_NAMESPACE)
    pid = int(launched.line())
    protocol.send(launched.task._channel, wrong)
    assert drain(launched.stdout) == ""
    assert launched.task.exit_status() == ExitStatus(signal=signal.SIGKILL)
    assert not is_there(pid)


def test_an_exit_status_that_cannot_be_written_is_told_all_the_same(launches: Launches) -> None:
    launched = launches.clone("sh", "-c", "exit 5")
    Path(f"{launched.exit_status_path}.new").mkdir()
    launched.task.release()
    assert launched.task.exit_status() == ExitStatus(code=5)


def test_fifty_launches_leak_nothing(launches: Launches) -> None:
    launches.run("true")
    before = descriptors()
    for _ in range(50):
        assert launches.run("true").status == ExitStatus(code=0)
    assert descriptors() == before
