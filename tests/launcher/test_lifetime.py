"""Who may die when: launcher, fork server, supervisor, child and task, in every order."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from launcher.exit_status import ExitStatus
from tests.launcher.support import (
    NO_PID_NAMESPACE,
    TIMEOUT,
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


def is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


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
    launched = launches.start("sh", "-c", DAEMON, namespaces=NO_PID_NAMESPACE)
    pid = int(launched.line())
    ended = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    wait_for_end(ended)
    deadline = time.monotonic() + TIMEOUT
    while is_there(pid):  # nothing tells when a zombie is collected
        assert time.monotonic() < deadline
        os.sched_yield()


def test_a_killed_supervisor_takes_the_task_along(launches: Launches) -> None:
    launched = launches.start(*WAITS)
    launched.line()
    ended = os.pidfd_open(launched.task.pid)
    kill(launched.supervisor)
    wait_for_end(ended)
    assert launched.task.exit_status() is None
    assert not launched.exit_status_path.exists()


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
