"""Who may die when: launcher, fork server, supervisor, child and task, in every order."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from launcher import protocol
from launcher.child import Child, execute
from launcher.exit_status import ExitStatus
from launcher.program import runner
from launcher.program.assembler import ALIVE
from launcher.stdio import Inherit
from tests.launcher.support import (
    NO_PID_NAMESPACE,
    TIMEOUT,
    WAITS,
    Launches,
    drain,
    info_of,
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


def test_whose_supervisor_has_ended_is_lost(launches: Launches) -> None:
    launched = launches.clone("true")
    assert not launched.task.is_lost
    child = os.pidfd_open(launched.task.pid)  # which has the channel, too
    kill(launched.supervisor)
    wait_for_end(child)
    assert launched.task.is_lost


def test_a_child_that_finds_its_supervisor_gone_ends_without_a_word(tmp_path: Path) -> None:
    """The kernel closes what a supervisor has open before it kills the child: the command has not failed."""
    ours, theirs = protocol.channel()
    child = Child(info_of("touch", str(tmp_path / "executed")), Inherit(0), theirs.fileno())
    child.program.call("dup3", child.channel, ALIVE, os.O_CLOEXEC)
    execute(child)
    ours.close()
    with theirs:
        assert runner.run(child.program) == runner.Sent([], [])
    assert not (tmp_path / "executed").exists()


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
