"""Many processes that end one container at the same moment: all agree, and it ends once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from containerizer.containerizer import Containerizer
from containerizer.ending import Ending
from containerizer.paths import Paths
from containerizer.record import NoSuchContainer
from launcher.container_id import ContainerId
from tests.end_to_end.conftest import Cli

pytestmark = pytest.mark.requires("root", "cgroup1")

ROOT = Path(__file__).parents[2]
NAME = f"at-once-{os.getpid()}"
TIMEOUT = 60  # seconds
ROUNDS = 8  # each is another race

# Forks a process for each of the actions, which all begin when all are there, and prints what came of them.
PROGRAM = """
import json, os, sys
from containerizer.containerizer import Containerizer
from launcher.errors import ContainerizerError

root, state, name, *actions = sys.argv[1:]
containerizer = Containerizer(root=root, state=state, isolation=())
do = {
    "rm -f": lambda container: container.remove(force=True),
    "rm": lambda container: container.remove(),
    "kill": lambda container: container.kill(),
    "stop": lambda container: container.stop(timeout=30),
    "pause": lambda container: container.pause(),
    "wait": lambda container: container.wait().exit_code,
    "destroy": lambda container: (ended := container.destroy()) and ended.exit_code,
}
started, start = os.pipe()
pipes = []
for action in actions:
    reader, writer = os.pipe()
    pipes.append((action, reader))
    if os.fork() == 0:
        os.close(start)
        container = containerizer.get(name)
        os.read(started, 1)
        try:
            result = do[action](container)
        except BaseException as error:
            result = f"{type(error).__name__}: {error}"
        os.write(writer, json.dumps(result).encode())
        os._exit(0)
    os.close(writer)
os.close(start)
for action, reader in pipes:
    with open(reader) as file:
        print(json.dumps([action, json.load(file)]))
"""


def at_once(cli: Cli, *actions: str) -> list[tuple[str, object]]:
    """Each action with its result, or its error."""
    argv = [sys.executable, "-c", PROGRAM, str(cli.root), str(cli.state), NAME, *actions]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT)
    assert (done.returncode, done.stderr) == (0, "")
    return [(action, result) for action, result in map(json.loads, done.stdout.splitlines())]


@pytest.mark.parametrize("round", range(ROUNDS))
@pytest.mark.parametrize("options", [("-d",), ("-d", "--rm"), ("-d", "--init")], ids=" ".join)
def test_ten_that_remove(cli: Cli, options: tuple[str, ...], round: int) -> None:
    assert cli("run", *options, "--name", NAME, "host", "sleep", "1000").returncode == 0
    opened = Ending.open(Paths.of(str(cli.root), str(cli.state)), ContainerId.parse(NAME))
    assert opened is not None
    with opened as ending:
        assert at_once(cli, *["rm -f"] * 10) == [("rm -f", None)] * 10
        assert ending.removed
        assert ending.termination is not None
        assert ending.termination.exit_code == 137
    cli.wait_for_reapers()
    assert cli.containers() == []


def test_who_removes_by_force_may_come_late(cli: Cli) -> None:
    assert cli("run", "-d", "--name", NAME, "host", "sleep", "1000").returncode == 0
    owner = Containerizer(root=str(cli.root), state=str(cli.state), isolation=())
    late = owner.get(NAME)
    owner.get(NAME).remove(force=True)
    late.remove(force=True)
    with pytest.raises(NoSuchContainer):
        late.remove()
    cli.wait_for_reapers()


@pytest.mark.parametrize("round", range(ROUNDS))
@pytest.mark.parametrize("options", [("-d",), ("-d", "--rm")], ids=" ".join)
def test_every_command_at_once(cli: Cli, options: tuple[str, ...], round: int) -> None:
    """Who comes too late is told that it has ended, or that there is none: never anything else."""
    command = ("sh", "-c", "trap 'exit 4' TERM; sleep 1000 & wait")
    assert cli("run", *options, "--name", NAME, "host", *command).returncode == 0
    actions = ["kill", "stop", "rm", "rm -f", "wait", "destroy", "kill", "stop", "rm -f", "wait"]
    codes = set()
    for action, result in at_once(cli, *actions):
        if isinstance(result, int):
            codes.add(result)
        elif isinstance(result, str):
            assert "Error" not in result.partition(":")[0], f"{action}: {result}"
            assert "is not running" in result or "is running" in result or "no container" in result, result
            assert action != "rm -f", result
            assert action != "stop" or "no container" in result, result
    assert len(codes) <= 1
    assert codes <= {4, 137}
    cli.wait_for_reapers()
    assert cli("rm", "-f", NAME).returncode == 0
