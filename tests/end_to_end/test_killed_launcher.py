"""A launching program that is killed at each moment of a launch and of an end, its fork server too.

Whoever comes later sees the truth, and leaves nothing: no cgroup, no sandbox, nothing in the store.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Cli
from tests.end_to_end.test_many import tree

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox", "cgroup1")

ROOT = Path(__file__).parents[2]
NAME = f"launched-{os.getpid()}"
TIMEOUT = 30  # seconds

# Launches a task and waits for its end, and kills itself at the moment that it is told.
PROGRAM = """
import os, signal, sys
from containerizer import containerizer as module
from containerizer.cleanup import take_back
from containerizer.container import Container
from containerizer.containerizer import Containerizer
from containerizer.request import ContainerRequest
from launcher.linux_task import LinuxTask
from launcher.stdio import Pipes

root, state, name, image, script, how, whom, moment, keep = sys.argv[1:]
containerizer = Containerizer(root=root, state=state, in_process=how == "in process")
enter, release = Container.enter, LinuxTask.release

def die(now):
    if now == moment:
        if whom == "both" and (server := containerizer._launcher._server):
            os.kill(server.pid, signal.SIGSTOP)  # or it would end by itself
            os.kill(server.pid, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)

def dying_enter(self, state, **changes):
    die(f"before {state.value}")
    enter(self, state, **changes)
    die(f"after {state.value}")

def dying_release(self):
    release(self)
    die("after the release")

def take_back_by_halves(container_id, isolators):
    take_back(container_id, isolators[len(isolators) // 2:])
    die("taking back")
    take_back(container_id, isolators)

Container.enter, LinuxTask.release, module.take_back = dying_enter, dying_release, take_back_by_halves
request = ContainerRequest.of(image, ["sh", "-c", script], name=name, keep=keep == "kept", mem="64m")
container = containerizer.create(request, Pipes())
container.start()
container.wait()
"""

BEFORE_THE_CLONE = ["before provisioning", "after provisioning", "after preparing"]
BLOCKED = ["before isolating", "after isolating", "after fetching"]
RUNNING = ["after the release", "after running"]
ENDED = ["before destroying", "after destroying", "taking back", "before terminated"]

HOWS = pytest.mark.parametrize(
    ("how", "whom"), [("in process", "agent"), ("fork server", "agent"), ("fork server", "both")]
)
KEPT = pytest.mark.parametrize("keep", ["kept", "not kept"])


@pytest.fixture
def launch(cli: Cli, busybox: str) -> Iterator[Launch]:
    assert cli("run", "--rm", busybox, "true").returncode == 0  # which pulls it
    launch = Launch(cli, busybox)
    yield launch
    cli("rm", "-f", NAME)


class Launch:
    """The program, and the command with which somebody comes later."""

    def __init__(self, cli: Cli, image: str) -> None:
        self.cli = cli
        self._image = image
        self._known = children()

    def killed(self, moment: str, script: str, how: str, whom: str, keep: str = "kept") -> None:
        """Run the program until its end by its own hand."""
        paths = (str(self.cli.root), str(self.cli.state))
        argv = [sys.executable, "-c", PROGRAM, *paths, NAME, self._image, script, how, whom, moment, keep]
        done = subprocess.run(
            argv, cwd=ROOT, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=TIMEOUT
        )
        assert done.returncode == -signal.SIGKILL, done.stderr.decode()

    def wait_for_orphans(self) -> None:
        """Until the supervisor, or the reaper that it has become, has ended, and the fork server.

        They have become children of this process, which is a subreaper.
        """
        while orphans := children() - self._known:
            pidfd = os.pidfd_open(next(iter(orphans)))
            assert select.select([pidfd], [], [], TIMEOUT)[0]
            os.close(pidfd)
            os.waitpid(next(iter(orphans)), 0)

    def done(self, *arguments: str) -> str:
        finished = self.cli(*arguments)
        assert (finished.returncode, finished.stderr) == (0, "")
        return finished.stdout.strip()

    def condition(self) -> str:
        (line,) = [line for line in self.done("ps", "-a").splitlines() if line.startswith(NAME)]
        return line.split("   ")[-1].strip()


def children() -> set[int]:
    return set(map(int, Path("/proc/thread-self/children").read_text().split()))


@HOWS
@pytest.mark.parametrize("moment", [*BEFORE_THE_CLONE, *BLOCKED])
def test_before_the_task_runs(launch: Launch, moment: str, how: str, whom: str) -> None:
    """It never does; and what the supervisor has not taken back, somebody else does."""
    before = tree(launch.cli.root)
    launch.killed(moment, "echo never", how, whom)
    launch.wait_for_orphans()
    reaped = "killed by SIGKILL" if moment in BLOCKED else "lost"
    assert launch.condition().startswith(reaped)
    assert launch.done("wait", NAME) == "137"
    assert launch.condition() == "killed by SIGKILL"
    if moment in BLOCKED:
        assert launch.done("logs", NAME) == ""
    launch.done("rm", NAME)
    assert tree(launch.cli.root) == before


@HOWS
@KEPT
@pytest.mark.parametrize("moment", RUNNING)
def test_while_the_task_runs(launch: Launch, moment: str, how: str, whom: str, keep: str) -> None:
    """It goes on, and is in everybody's hands."""
    before = tree(launch.cli.root)
    launch.killed(moment, "trap 'exit 7' USR1; echo ready; while :; do sleep 0.01; done", how, whom, keep)
    assert launch.condition() == "running"
    assert launch.done("exec", NAME, "echo", "inside") == "inside"
    launch.done("pause", NAME)
    assert launch.condition() == "paused"
    launch.done("unpause", NAME)
    wait_for_output(launch, "ready")
    launch.done("kill", "-s", "USR1", NAME)
    launch.wait_for_orphans()
    if keep == "kept":
        assert launch.condition() == "exited with 7"
        assert launch.done("wait", NAME) == "7"
        launch.done("rm", NAME)
    assert tree(launch.cli.root) == before


def wait_for_output(launch: Launch, text: str) -> None:
    argv = [*launch.cli.argv, "logs", "-f", NAME]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"{text}\n"
        process.kill()


@KEPT
@pytest.mark.parametrize("command", [["wait"], ["rm"], ["stop"], ["reap"]], ids=" ".join)
@pytest.mark.parametrize("moment", ENDED)
def test_while_it_is_taken_back(launch: Launch, moment: str, keep: str, command: list[str]) -> None:
    before = tree(launch.cli.root)
    launch.killed(moment, "exit 7", "fork server", "both", keep)
    launch.wait_for_orphans()
    output = launch.done(*command, NAME)
    assert output == {"wait": "7", "reap": ""}.get(command[0], NAME)
    if keep == "kept" and command[0] != "rm":
        assert launch.condition() == "exited with 7"
        launch.done("rm", NAME)
    assert launch.cli.containers() == []
    assert tree(launch.cli.root) == before
