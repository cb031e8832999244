"""Limits that a container runs into while nobody watches: the clean-up asks what the kernel has counted."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
from pathlib import Path

import pytest

from containerizer import Containerizer, cgroups_root
from launcher.attach import Attachment
from tests.end_to_end.conftest import Cli, parent
from tests.launcher.support import Reader

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox", "cgroup1")

NAME = f"unwatched-{os.getpid()}"
TIMEOUT = 30  # seconds
HOG = "tail /dev/zero"  # keeps the last line, which never ends
LIMITED = ("-m", "24m", "--name", NAME)


def detached(cli: Cli, image: str, script: str) -> dict[str, object]:
    """A container that has ended after its launcher; what is listed of it."""
    done = cli("run", "-d", *LIMITED, image, "sh", "-c", script)
    assert (done.returncode, done.stderr) == (0, "")
    assert cli("wait", NAME).returncode == 0
    cli.wait_for_reapers()
    (listed,) = cli.containers()
    return listed


def limitation(listed: dict[str, object]) -> object:
    termination = listed["termination"]
    assert isinstance(termination, dict)
    return termination["limitation"]


@pytest.mark.parametrize("script", [f"exec {HOG}", f"{HOG}; exit 5"], ids=["the task", "a child of it"])
def test_a_memory_limit_is_told_by_all(cli: Cli, busybox: str, script: str) -> None:
    listed = detached(cli, busybox, script)
    assert "limit 24.0 MiB, peak use 24.0 MiB" in json.dumps(limitation(listed))
    code = 5 if "exit" in script else 137
    assert cli("wait", NAME).stdout == f"{code}\n"
    assert "memory limitation by cgroups/mem: the kernel killed" in cli("ps", "-a").stdout
    with Containerizer(root=str(cli.root), state=str(cli.state), isolation=()) as library:
        termination = library.get(NAME).wait(timeout=0)
    assert termination is not None
    assert termination.limitation is not None
    assert (termination.exit_code, termination.limitation.resource) == (code, "memory")
    assert cli("rm", NAME).returncode == 0


def test_a_task_that_went_on_to_a_success_was_not_ended_by_a_limit(cli: Cli, busybox: str) -> None:
    assert limitation(detached(cli, busybox, f"{HOG}; exit 0")) is None
    assert cli("wait", NAME).stdout == "0\n"
    cli("rm", NAME)


def test_an_end_without_a_limit_reached_is_none(cli: Cli, busybox: str) -> None:
    assert limitation(detached(cli, busybox, "kill -9 $$")) is None
    cli("rm", NAME)


def test_what_was_told_outlives_a_clean_up_that_failed_by_halves(cli: Cli, busybox: str) -> None:
    """The second one finds no memory cgroup any more. The supervisor was killed, or it would clean up."""
    script = f"trap 'exec {HOG}' USR1; echo ready; sleep 1000 & wait"
    cli("run", "-d", *LIMITED, busybox, "sh", "-c", script)
    pid = int(str(cli.containers()[0]["pid"]))
    supervisor, task = parent(pid), os.pidfd_open(pid)
    with Attachment.connect(str(cli.state / "containers" / NAME / "attach.sock")) as attachment:
        attachment.attach()
        Reader(attachment).until("ready\n")
    os.kill(supervisor, signal.SIGSTOP)
    os.kill(pid, signal.SIGUSR1)
    assert select.select([task], [], [], TIMEOUT)[0]
    os.close(task)
    os.kill(supervisor, signal.SIGKILL)
    read_only = 'mount -o remount,bind,ro /sys/fs/cgroup/pids && exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", read_only, "sh", *cli.argv, "stop", NAME]
    failed = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=TIMEOUT)
    assert failed.returncode == 125
    assert "cannot clean up" in failed.stderr
    root = cgroups_root.own(str(cli.state))
    assert Path("/sys/fs/cgroup/pids", root, f"ct-{NAME}").exists()
    assert not Path("/sys/fs/cgroup/memory", root, f"ct-{NAME}").exists()
    assert cli("stop", NAME).returncode == 0
    assert "memory limitation" in cli("ps", "-a").stdout
    cli("rm", NAME)
