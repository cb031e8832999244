"""A pid in a record that is another process' by now: whatever is done to the container, it is spared."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from containerizer.liveness import started_at
from tests.end_to_end.conftest import Cli, parent
from tests.launcher.support import kill

pytestmark = pytest.mark.requires("root", "cgroup1")

ROOT = Path(__file__).parents[2]
NAME = f"recycled-{os.getpid()}"
TIMEOUT = 60  # seconds

# Each command, and its exit code where the task has ended.
COMMANDS: dict[tuple[str, ...], int] = {
    ("kill", NAME): 125,
    ("kill", "-s", "STOP", NAME): 125,
    ("pause", NAME): 125,
    ("unpause", NAME): 125,
    ("exec", NAME, "true"): 125,
    ("top", NAME): 125,
    ("attach", NAME): 125,
    ("ps", "-a"): 0,
    ("logs", NAME): 0,
    ("wait", NAME): 0,
    ("stop", NAME): 0,
    ("rm", NAME): 0,
    ("rm", "-f", NAME): 0,
}


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "1000"]) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command).replace(NAME, "").strip())
@pytest.mark.parametrize("state", ["running", "fetching"])
def test_a_stranger_in_the_record_is_spared(
    cli: Cli, stranger: subprocess.Popen[bytes], command: tuple[str, ...], state: str
) -> None:
    """All pids of the record are its, but for one tick of the clock at which it has started."""
    assert cli("run", "-d", "--name", NAME, "host", "sleep", "1000").returncode == 0
    (listed,) = cli.containers()
    kill(parent(int(str(listed["pid"]))))
    started = started_at(stranger.pid)
    assert started is not None
    pids = dict.fromkeys(("pid", "supervisor", "owner"), stranger.pid)
    rewrite(cli, state=state, **pids, **{f"{name}_started": started - 1 for name in pids})
    done = cli(*command)
    assert (done.returncode, "Traceback" in done.stderr) == (COMMANDS[command], False), done.stderr
    assert unharmed(stranger)
    assert cli("rm", "-f", NAME).returncode == 0
    assert unharmed(stranger)


def rewrite(cli: Cli, **fields: Any) -> None:
    path = cli.state / "containers" / NAME / "container.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def unharmed(process: subprocess.Popen[bytes]) -> bool:
    """It runs, is not stopped, and is in no cgroup of ours."""
    state = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state in "SR" and "/ct-" not in Path(f"/proc/{process.pid}/cgroup").read_text()


# The init of a PID namespace: the container ends, and its pids become those of bystanders.
INIT = """
import json, os, signal, subprocess, sys
state, name, *command = sys.argv[1:]

def run(*arguments):
    done = subprocess.run([*command, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return [done.returncode, done.stdout + done.stderr]

def recycled(pid):
    with open("/proc/sys/kernel/ns_last_pid", "w") as file:
        file.write(str(pid - 1))
    process = subprocess.Popen(["sleep", "1000"])
    assert process.pid == pid, (process.pid, pid)
    return process

launched = run("run", "-d", "--name", name, "host", "sleep", "1000")
assert launched[0] == 0, launched
with open(f"{state}/containers/{name}/container.json") as file:
    record = json.load(file)
os.kill(record["supervisor"], signal.SIGKILL)
ended = set()  # its relay may be among them
while not {record["supervisor"], record["pid"]} <= ended:
    ended.add(os.waitpid(-1, 0)[0])
bystanders = [recycled(record[which]) for which in ("owner", "supervisor", "pid")]
results = [run(*arguments) for arguments in json.loads(sys.stdin.read())]
spared = [process.poll() is None for process in bystanders]
for process in bystanders:
    process.kill()
    process.wait()
print(json.dumps([results, spared]))
"""


def test_pids_that_are_recycled_for_real(cli: Cli) -> None:
    within = ["unshare", "--pid", "--fork", "--mount", "--mount-proc", "--kill-child"]
    argv = [*within, sys.executable, "-c", INIT, str(cli.state), NAME, *cli.argv]
    commands = json.dumps(list(COMMANDS))
    done = subprocess.run(argv, cwd=ROOT, input=commands, capture_output=True, text=True, timeout=TIMEOUT)
    assert (done.returncode, done.stderr) == (0, "")
    results, spared = json.loads(done.stdout)
    assert spared == [True, True, True]
    assert [code for code, _ in results] == list(COMMANDS.values()), results
    assert "lost" in results[list(COMMANDS).index(("ps", "-a"))][1]
