"""Detached containers that make it hard: stopped, silent, on a full disk, or read by nobody."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from launcher.attach import Attachment
from tests.end_to_end.conftest import Cli
from tests.launcher.support import Reader, parent

pytestmark = pytest.mark.requires("root", "cgroup1")

NAME = f"hard-{os.getpid()}"
TIMEOUT = 60  # seconds

# It closes its stdio, and leaves the work to a grandchild that is nobody's.
HIDES = (
    "(setsid sh -c 'exec <&- >&- 2>&-; exec sleep 1000' &); echo ready; exec <&- >&- 2>&-; sleep 1000 & wait"
)
# It writes a line, more than the disk can take, and a line when it is told to go on.
FILLS = "trap 'echo after; exit 3' USR1; echo before; head -c 1000000 /dev/zero; echo full; sleep 1000 & wait"


def pid_of(cli: Cli) -> int:
    (listed,) = cli.containers()
    return int(str(listed["pid"]))


def wait_for(cli: Cli, text: str) -> None:
    """Until it is in the output."""
    with Attachment.connect(str(cli.state / "containers" / NAME / "attach.sock")) as attached:
        attached.attach()
        Reader(attached).until(text)


@pytest.fixture
def launched(cli: Cli) -> Iterator[Cli]:
    yield cli
    assert cli("rm", "-f", NAME).returncode == 0
    cli.wait_for_reapers()


@pytest.mark.parametrize("options", [(), ("--init",), ("--isolation", "cgroups/pids")], ids=str)
@pytest.mark.parametrize(
    ("command", "code"), [(["kill"], 137), (["stop", "-t", "0.1"], 137), (["rm", "-f"], None)], ids=str
)
def test_a_stopped_task(
    launched: Cli, options: tuple[str, ...], command: list[str], code: int | None
) -> None:
    done = launched("run", "-d", "--name", NAME, *options, "host", "sleep", "1000")
    assert (done.returncode, done.stderr) == (0, "")
    os.kill(pid_of(launched), signal.SIGSTOP)
    assert launched(*command, NAME).returncode == 0
    if code is None:
        assert launched.containers() == []
    else:
        assert launched("wait", NAME).stdout == f"{code}\n"


@pytest.mark.parametrize("command", [["stop", "-t", "0.1"], ["rm", "-f"]], ids=str)
def test_a_stopped_supervisor(launched: Cli, command: list[str]) -> None:
    launched("run", "-d", "--name", NAME, "host", "sleep", "1000")
    os.kill(parent(pid_of(launched)), signal.SIGSTOP)
    done = launched(*command, NAME)
    assert (done.returncode, done.stderr) == (0, "")


def test_one_that_hides_lives_until_it_is_ended(launched: Cli) -> None:
    launched("run", "-d", "--name", NAME, "--isolation", "cgroups/pids", "host", "sh", "-c", HIDES)
    wait_for(launched, "ready\n")
    pid = pid_of(launched)
    assert Path(f"/proc/{pid}").exists()
    assert launched("stop", "-t", "5", NAME).returncode == 0
    assert launched("wait", NAME).stdout == "143\n"


@contextlib.contextmanager
def small_disk(cli: Cli) -> Iterator[tuple[Cli, Path]]:
    """A command in a mount namespace where the root directory is on a small disk, and that directory."""
    cli.root.mkdir(parents=True)
    script = 'mount -t tmpfs -o size=256k none "$1" && echo mounted && read line'
    argv = ["unshare", "--mount", "sh", "-c", script, "sh", str(cli.root)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"mounted\n"
        within = ("nsenter", f"--mount=/proc/{holder.pid}/ns/mnt", "--")
        yield replace(cli, within=within), Path(f"/proc/{holder.pid}/root{cli.root}")


@pytest.mark.parametrize("frees", [True, False], ids=["freed", "full to the end"])
def test_a_full_disk_is_told_in_the_log(fresh: Cli, frees: bool) -> None:
    """The task runs on; what was lost is one line among what was not."""
    with small_disk(fresh) as (cli, disk):
        filler = disk / "filler"
        filler.write_bytes(bytes(128 << 10))
        done = cli("run", "-d", "--name", NAME, "--isolation", "cgroups/pids", "host", "sh", "-c", FILLS)
        assert (done.returncode, done.stderr) == (0, "")
        wait_for(fresh, "full\n")
        if frees:
            filler.unlink()
        os.kill(pid_of(cli), signal.SIGUSR1)
        assert cli("wait", NAME).stdout == "3\n"
        logged = cli("logs", NAME)
        assert logged.stdout.startswith("before\n")
        assert not frees or logged.stdout.endswith("after\n")
        lost = re.findall(r"\[containerizer: (\d+) bytes of output were not logged: No sp", logged.stderr)
        assert sum(map(int, lost)) > 850_000
        assert cli("rm", NAME).returncode == 0
        fresh.wait_for_reapers()


def test_readers_that_never_read(launched: Cli) -> None:
    """Ten of them, on a task that writes a hundred times what is kept for them."""
    script = "read line; head -c 6400000 /dev/zero; exit 5"
    launched("run", "-d", "-i", "--name", NAME, "--isolation", "cgroups/pids", "host", "sh", "-c", script)
    with contextlib.ExitStack() as stack:
        path = str(launched.state / "containers" / NAME / "attach.sock")
        readers = [stack.enter_context(Attachment.connect(path)) for _ in range(10)]
        for reader in readers:
            reader.attach()
        readers[0].write(b"go\n")
        assert launched("wait", NAME).stdout == "5\n"
