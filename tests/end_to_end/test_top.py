"""`top`: which processes a container has, and what is said of them."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from containerizer import Containerizer
from tests.end_to_end.conftest import Cli

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox")

NAME = f"top-{os.getpid()}"
BARE = "filesystem/linux,docker/runtime"
TIMEOUT = 30  # seconds until processes count as missing
TREE = "sleep 1001 & (sleep 1002 & sleep 1003) & exec sleep 1000"
SLEEPS = [["sleep", str(1000 + number)] for number in range(4)]


@contextlib.contextmanager
def running(cli: Cli, image: str, *options: str, script: str = TREE) -> Iterator[None]:
    """A container whose script ends in many processes."""
    done = cli("run", "-d", "--name", NAME, *options, image, "sh", "-c", script)
    assert (done.returncode, done.stderr) == (0, "")
    try:
        yield
    finally:
        assert cli("rm", "-f", NAME).returncode == 0


def top(cli: Cli, name: str = NAME) -> list[dict[str, Any]]:
    done = cli("top", "--format", "json", name)
    assert (done.returncode, done.stderr) == (0, "")
    listed: list[dict[str, Any]] = json.loads(done.stdout)
    return listed


def until(cli: Cli, count: int, name: str = NAME) -> dict[tuple[str, ...], dict[str, Any]]:
    """All that sleep, once there are so many of them, by their commands."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        sleeping = {tuple(p["command"]): p for p in top(cli, name) if p["command"][0] == "sleep"}
        if len(sleeping) == count:
            return sleeping
        assert time.monotonic() < deadline, sleeping


def until_there(cli: Cli, seconds: str) -> dict[str, Any]:
    """The process that sleeps so long, once there is one."""
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        for process in json.loads(cli("top", "--json", NAME).stdout or "[]"):
            if process["command"] == ["sleep", seconds]:
                found: dict[str, Any] = process
                return found
    raise AssertionError(f"nobody sleeps {seconds} s")


@pytest.mark.parametrize(
    "options",
    [(), ("--isolation", f"{BARE},namespaces/pid"), ("--isolation", BARE)],
    ids=["cgroups", "pid namespace", "descendants"],
)
def test_all_processes_of_a_container(cli: Cli, busybox: str, options: tuple[str, ...]) -> None:
    with running(cli, busybox, *options):
        sleeping = until(cli, 4)
        assert sorted(map(list, sleeping)) == SLEEPS
        assert all(p["command"][0] in ("sleep", "sh") for p in top(cli))
        for process in sleeping.values():
            seen = Path(f"/proc/{process['pid']}/cmdline").read_bytes().split(b"\0")[:-1]
            assert seen == [word.encode() for word in process["command"]]
        first = sleeping["sleep", "1000"]
        own_namespace = options != ("--isolation", BARE)
        assert first["container_pid"] == (1 if own_namespace else first["pid"])
        assert first["user"] == "root"


@pytest.mark.parametrize("options", [(), ("--isolation", f"{BARE},namespaces/pid")])
def test_commands_of_exec_belong_to_the_container(cli: Cli, busybox: str, options: tuple[str, ...]) -> None:
    with running(cli, busybox, *options, script="exec sleep 1000"):
        name = cli("exec", "-d", NAME, "sleep", "2000").stdout.strip()
        assert set(until(cli, 2)) == {("sleep", "1000"), ("sleep", "2000")}
        assert set(until(cli, 1, name)) == {("sleep", "2000")}


def test_nested_processes_are_its_own_too(cli: Cli, busybox: str) -> None:
    with running(cli, busybox, script="exec sleep 1000"):
        cli("run", "-d", "--rm", "--name", f"{NAME}.in", busybox, "sleep", "3000")
        inner = until(cli, 1, f"{NAME}.i")["sleep", "3000"]
        outer = until(cli, 2)["sleep", "3000"]
        assert (inner["container_pid"], inner["pid"]) == (1, outer["pid"])
        assert outer["container_pid"] not in (1, outer["pid"], None)


@pytest.mark.requires("userns")
def test_users_are_the_containers(cli: Cli, busybox: str) -> None:
    with running(cli, busybox, "--userns", "300000:65536", script="exec sleep 1000"):
        cli("exec", "-d", "-u", "1234", NAME, "sleep", "2000")
        sleeping = until(cli, 2)
        assert {(p["uid"], p["user"]) for p in sleeping.values()} == {(0, "root"), (1234, "1234")}
        assert os.stat(f"/proc/{sleeping['sleep', '1000']['pid']}").st_uid == 300000


def test_time_memory_and_state(cli: Cli, busybox: str) -> None:
    script = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; exec sleep 1000"
    with running(cli, busybox, script=script):
        first = until_there(cli, "1000")
        assert (first["state"], first["cpu_seconds"] > 0, first["rss_bytes"] > 0) == ("S", True, True)


def test_the_table_cannot_be_forged(cli: Cli, busybox: str) -> None:
    evil = "\x1b[2J\nforged"
    with running(cli, busybox, "-i", script=f"exec sh -c 'read line' '{evil}'"):
        lines = cli("top", NAME).stdout.splitlines()
        assert lines[0].split() == ["HOST-PID", "PID", "USER", "STATE", "%CPU", "TIME", "RSS", "COMMAND"]
        assert not any(line.startswith("forged") or "\x1b" in line for line in lines)


def test_who_does_not_run_has_none(cli: Cli, busybox: str) -> None:
    cli("run", "--name", NAME, busybox, "true")
    assert f"container {NAME} is not running" in cli("top", NAME).stderr
    cli("rm", NAME)
    assert f"no container {NAME}" in cli("top", NAME).stderr


def test_the_library(cli: Cli, busybox: str) -> None:
    with running(cli, busybox, script="exec sleep 1000"):
        until(cli, 1)
        container = Containerizer(root=str(cli.root), state=str(cli.state), isolation=()).get(NAME)
        (process,) = container.processes()
        assert (process.pid, process.command) == (container.record.pid, ("sleep", "1000"))


def test_plain_processes_of_the_posix_launcher(cli: Cli) -> None:
    script = ("sh", "-c", "sleep 1001 & exec sleep 1000")
    with cli.start("run", "--rm", "--name", NAME, "--launcher", "posix", "host", *script):
        until_there(cli, "1000")
        assert set(until(cli, 2)) == {("sleep", "1000"), ("sleep", "1001")}
