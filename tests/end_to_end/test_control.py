"""Containers that one process has started, in the hands of others: kill, stop, wait, pause, rm -f."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Cli, parent

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox")

NAME = f"control-{os.getpid()}"
SLEEPS = ("sh", "-c", "echo ready; sleep 1000 & wait")

# Bounded by --pids-limit, and by nothing else.
BOMB = "bomb() { bomb & bomb & wait; }; sleep 1000 & first=$!; bomb & echo ready; wait $first"


@contextlib.contextmanager
def started(cli: Cli, *arguments: str, name: str = NAME) -> Iterator[subprocess.Popen[str]]:
    """A container in the foreground of another process, which is killed and removed at the end."""
    try:
        with cli.start("run", "--name", name, *arguments) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0)
    finally:
        assert cli("rm", "-f", name).returncode == 0


def pid_of(cli: Cli, name: str = NAME) -> int:
    return int(str(next(c["pid"] for c in cli.containers() if c["id"] == name)))


def condition(cli: Cli, name: str = NAME) -> str:
    """What `ps` shows people as the status."""
    (line,) = [line for line in cli("ps", "-a").stdout.splitlines() if line.startswith(f"{name} ")]
    return line.split("   ")[-1].strip()


def done(cli: Cli, *arguments: str) -> str:
    finished = cli(*arguments)
    assert (finished.returncode, finished.stderr) == (0, "")
    return finished.stdout.strip()


# kill, and how containers are named ----------------------------------------------------------------


def test_kill_sends_any_signal_to_the_task(cli: Cli, busybox: str) -> None:
    script = "trap 'echo usr1' USR1; trap 'exit 7' 37; echo ready; while :; do :; done"
    with started(cli, busybox, "sh", "-c", script) as process:
        assert process.stdout is not None
        assert done(cli, "kill", "-s", "USR1", NAME) == NAME
        assert process.stdout.readline() == "usr1\n"
        done(cli, "kill", "--signal", "SIGRTMIN+3", NAME)
        assert process.wait(30) == 7
        refused = cli("kill", NAME)
        assert (refused.returncode, "is not running" in refused.stderr) == (125, True)


def test_kill_ends_the_container(cli: Cli, busybox: str) -> None:
    with started(cli, busybox, *SLEEPS) as process:
        done(cli, "kill", NAME)
        assert process.wait(30) == 137


def test_a_beginning_names_a_container_unless_two_have_it(cli: Cli, busybox: str) -> None:
    one, two = f"{NAME}-one", f"{NAME}-two"
    with started(cli, busybox, *SLEEPS, name=one), started(cli, busybox, *SLEEPS, name=two):
        refused = cli("kill", NAME)
        assert refused.returncode == 125
        assert f"the container name '{NAME}' is ambiguous; 2 begin so: {one}, {two}" in refused.stderr
        assert done(cli, "kill", one[:-1]) == one[:-1]
        assert done(cli, "wait", one) == "137"
        unknown = cli("kill", f"{NAME}-three", two)
        assert (unknown.returncode, unknown.stdout) == (125, f"{two}\n"), "one does not spare the other"
        assert f"no container {NAME}-three" in unknown.stderr


def test_an_unknown_signal_is_refused(cli: Cli) -> None:
    assert "unknown signal 'NOPE'" in cli("kill", "-s", "NOPE", NAME).stderr


# stop and wait -------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", ["USR1", "SIGRTMIN+3"])
def test_stop_uses_the_stop_signal(cli: Cli, busybox: str, asked: str) -> None:
    script = "trap 'exit 3' USR1; trap 'exit 3' 37; echo ready; while :; do :; done"
    with started(cli, "--stop-signal", asked, busybox, "sh", "-c", script) as process:
        assert done(cli, "stop", NAME) == NAME
        assert process.wait(30) == 3
        done(cli, "stop", NAME)


def test_who_does_not_stop_is_killed_and_several_at_once(cli: Cli, busybox: str) -> None:
    one, two = f"{NAME}-one", f"{NAME}-two"
    willing = "trap 'exit 4' TERM; echo ready; while :; do :; done"
    with (
        started(cli, busybox, *SLEEPS, name=one) as unwilling,
        started(cli, "--rm", busybox, "sh", "-c", willing, name=two) as other,
    ):
        assert done(cli, "stop", "-t", "0.2", one, two) == f"{one}\n{two}"
        assert (unwilling.wait(30), other.wait(30)) == (137, 4)


def test_wait_prints_the_exit_code_before_and_after_the_end(cli: Cli, busybox: str) -> None:
    with started(cli, "-i", busybox, "sh", "-c", "echo ready; read line; exit 9") as process:
        with waits(cli) as waiting:
            assert process.stdin is not None
            assert waiting.stdout is not None
            assert not select.select([waiting.stdout], [], [], 0.3)[0]
            process.stdin.write("\n")
            process.stdin.close()
            assert waiting.communicate(timeout=30)[0] == "9\n"
        assert done(cli, "wait", NAME) == "9"
    assert "no container" in cli("wait", NAME).stderr


def test_wait_learns_the_end_of_a_container_that_is_removed_then(cli: Cli, busybox: str) -> None:
    with (
        started(cli, "--rm", "-i", busybox, "sh", "-c", "echo ready; read line; exit 9") as process,
        waits(cli) as waiting,
    ):
        _until_it_waits(waiting.pid)
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.close()
        assert waiting.communicate(timeout=30)[0] == "9\n"
        assert process.wait(30) == 9  # killed before, it would leave the cgroup that containers share


@contextlib.contextmanager
def waits(cli: Cli) -> Iterator[subprocess.Popen[str]]:
    """A `wait` in another process, killed at the end."""
    with subprocess.Popen([*cli.argv, "wait", NAME], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def _until_it_waits(pid: int) -> None:
    """Until the process has an inotify descriptor, which comes after everything it has to open."""
    while "anon_inode:inotify" not in _descriptors(pid):
        os.sched_yield()


def _descriptors(pid: int) -> Iterator[str]:
    for entry in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            yield os.readlink(f"/proc/{pid}/fd/{entry}")


# pause ---------------------------------------------------------------------------------------------


def test_pause_stops_everything_until_unpause(cli: Cli, busybox: str) -> None:
    script = "echo ready; while read line; do echo $line; done"
    with started(cli, "-i", busybox, "sh", "-c", script) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        done(cli, "pause", NAME)
        done(cli, "pause", NAME)
        assert condition(cli) == "paused"
        (listed,) = cli.containers()
        assert (listed["state"], listed["running"], listed["paused"]) == ("running", True, True)
        process.stdin.write("hello\n")
        process.stdin.flush()
        assert not select.select([process.stdout], [], [], 0.2)[0]
        done(cli, "unpause", NAME)
        assert process.stdout.readline() == "hello\n"
        assert condition(cli) == "running"


@pytest.mark.parametrize("command", [["kill"], ["rm", "-f"], ["stop", "-t", "0"]])
def test_a_paused_container_is_ended(cli: Cli, busybox: str, command: list[str]) -> None:
    with started(cli, busybox, *SLEEPS) as process:
        done(cli, "pause", NAME)
        done(cli, *command, NAME)
        assert process.wait(30) == 137


def test_a_paused_container_ends_with_the_command_that_started_it(cli: Cli, busybox: str) -> None:
    with started(cli, busybox, *SLEEPS) as process:
        done(cli, "pause", NAME)
        for _ in range(3):
            process.send_signal(signal.SIGINT)
            if select.select([process.stderr], [], [], 1)[0]:
                break
        assert process.wait(30) in (130, 137), "thawed, the shell may hear SIGINT before SIGKILL comes"


def test_pausing_needs_its_isolator(cli: Cli, busybox: str) -> None:
    isolation = "filesystem/linux,docker/runtime,namespaces/pid"
    with started(cli, "--isolation", isolation, busybox, *SLEEPS):
        refused = cli("pause", NAME)
    assert (refused.returncode, "has no isolator that can pause it" in refused.stderr) == (125, True)


# rm -f ---------------------------------------------------------------------------------------------


def test_a_stopped_task_is_removed(cli: Cli, busybox: str) -> None:
    with started(cli, busybox, *SLEEPS) as process:
        os.kill(pid_of(cli), signal.SIGSTOP)
        done(cli, "rm", "-f", NAME)
        assert process.wait(30) == 137
        assert cli.containers() == []
        assert done(cli, "rm", "--force", NAME) == NAME


def test_a_fork_bomb_is_removed(cli: Cli, busybox: str) -> None:
    with started(cli, "--pids-limit", "100", busybox, "sh", "-c", BOMB) as process:
        done(cli, "rm", "-f", NAME)
        assert process.wait(30) == 137


def test_several_that_remove_at_once_agree(cli: Cli, busybox: str) -> None:
    with started(cli, "--rm", busybox, *SLEEPS) as process, ThreadPoolExecutor(5) as pool:
        waiting = pool.submit(cli, "wait", NAME)
        removed = list(pool.map(lambda _: done(cli, "rm", "-f", NAME), range(4)))
        assert removed == [NAME] * 4
        assert process.wait(30) == 137
        assert waiting.result().returncode in (0, 125), "it may have come late"


def test_what_a_killed_supervisor_leaves_is_removed(cli: Cli) -> None:
    """Without a PID namespace the kernel ends the task only, and what it has forked lives on."""
    script = "setsid sleep 1000 </dev/null >/dev/null 2>&1 & echo ready; wait"
    isolation = "cgroups/pids,cgroups/freezer"
    with started(cli, "--isolation", isolation, "host", "sh", "-c", script) as process:
        pid = pid_of(cli)
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        orphans = [os.pidfd_open(int(child)) for child in children]
        assert len(orphans) == 1
        process.send_signal(signal.SIGSTOP)  # or it would clean up itself
        task = os.pidfd_open(pid)
        os.kill(parent(pid), signal.SIGKILL)
        assert select.select([task], [], [], 30)[0]
        process.kill()
        process.wait()
        assert condition(cli).startswith("lost")
        assert not select.select(orphans, [], [], 0)[0]
        done(cli, "rm", NAME)
        assert select.select(orphans, [], [], 0)[0]
        for descriptor in (task, *orphans):
            os.close(descriptor)
        assert cli.containers() == []


def test_a_launch_in_progress_is_given_up(cli: Cli) -> None:
    """The image never comes: its registry accepts, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        image = f"127.0.0.1:{silent.getsockname()[1]}/silent"
        with cli.start("run", "--name", NAME, image) as process:
            connection, _ = silent.accept()
            with connection:
                refused = cli("rm", "-f", "--timeout", "0.2", NAME)
                assert refused.returncode == 125
                assert f"is still provisioning in process {process.pid}" in refused.stderr
                assert condition(cli) == "destroying"
                process.kill()
                process.wait()
                done(cli, "rm", "-f", NAME)
    assert cli.containers() == []
