"""What a task can use up that others need: the host's disk by its output, descriptors, watches, ids."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.end_to_end.conftest import Cli
from tests.security.conftest import calling, running
from tests.support.system_calls import on_x86_64

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox")


def test_the_disk_by_output(cli: Cli, busybox: str) -> None:
    """Logs are rotated: however much a task writes, they keep what was asked, the lines' times included."""
    script = "yes 'all work and no play' | head -c 8000000; echo over > /over; exec sleep 1000"
    options = ("--log-max-size", "100k", "--log-max-files", "2")
    with running(cli, busybox, *options, script=script) as name:
        assert cli("exec", name, "sh", "-c", "until [ -e /over ]; do sleep 0.1; done").returncode == 0
        logs = [path.stat().st_size for path in (cli.root / "containers" / name).glob("log*")]
        assert sum(logs) <= 2 * 110_000
        assert cli("logs", "--tail", "1", name).stdout


def test_the_disk_by_a_line_without_an_end(cli: Cli, busybox: str) -> None:
    """And the relay's memory."""
    script = "head -c 8000000 /dev/zero | tr '\\0' x; echo over > /over; exec sleep 1000"
    options = ("--log-max-size", "100k", "--log-max-files", "2")
    with running(cli, busybox, *options, script=script) as name:
        assert cli("exec", name, "sh", "-c", "until [ -e /over ]; do sleep 0.1; done").returncode == 0
        assert sum(p.stat().st_size for p in (cli.root / "containers" / name).glob("log*")) <= 2 * 110_000


@on_x86_64
def test_watches_of_files(cli: Cli, busybox: str) -> None:
    """inotify counts by user: the host's root, as whom the task runs, has none left. Ours do without, and who
    is in a user namespace has a count of its own.
    """
    most = int(Path("/proc/sys/fs/inotify/max_user_instances").read_text())
    eaten = calling(*[("inotify_init",)] * min(most, 600)).replace(
        "exec /tmp/attack", "/tmp/attack > /dev/null"
    )
    # The program keeps what it has as long as it runs: so that its end is put off, a pipe is not read.
    script = eaten.replace("/tmp/attack > /dev/null", "/tmp/attack | sleep 1000")
    with running(cli, busybox, script=script) as name:
        assert cli("exec", name, "echo", "answers").stdout == "answers\n"
        assert cli("run", "--rm", busybox, "true").returncode == 0
        with running(cli, busybox, "-m", "32m", "--userns", "auto") as other:
            assert cli("pause", other).returncode == 0
            assert cli("unpause", other).returncode == 0
            assert cli("stop", "-t", "0", other).returncode == 0


def test_descriptors(cli: Cli, busybox: str) -> None:
    """A task opens as many as its limit allows; another one is launched and attached to all the same."""
    most = 'i=3; while [ $i -lt 20000 ] && eval "exec $i< /dev/null"; do i=$((i+1)); done'
    script = f"ulimit -n 20000; {most}; exec sleep 1000"
    with running(cli, busybox, script=script) as name:
        assert cli("exec", name, "echo", "answers").stdout == "answers\n"
        assert cli("run", "--rm", "-i", busybox, "cat", stdin="x").stdout == "x"


def test_processes(cli: Cli, busybox: str) -> None:
    """A fork bomb is ended with its limit in force, and others can fork meanwhile."""
    script = "bomb() { bomb | bomb & }; bomb; exec sleep 1000"
    with running(cli, busybox, "--pids-limit", "64", script=script) as name:
        assert cli("run", "--rm", busybox, "sh", "-c", "true & wait").returncode == 0
        assert cli("stop", "-t", "0", name).returncode == 0
