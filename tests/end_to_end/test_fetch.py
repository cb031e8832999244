"""`run --fetch`: what a task finds, whose it is, and what happens when it cannot be had."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Cli
from tests.provisioner.scripted import Answer, ScriptedRegistry, scripted_registry
from tests.support.faulty_proxy import Fault, FaultyProxy
from tests.support.images import archive, compress_gzip, entry

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox")

_SCRIPT = b"#!/bin/sh\necho from the script\n"


@pytest.fixture
def server() -> Iterator[ScriptedRegistry]:
    with scripted_registry() as running:
        running.answer("/script", Answer(body=_SCRIPT))
        running.answer("/a.tgz", Answer(body=compress_gzip(archive([entry("d/file", b"unpacked")]))))
        yield running


def test_a_task_finds_what_was_fetched(cli: Cli, busybox: str, server: ScriptedRegistry) -> None:
    command = (
        "cd $MESOS_SANDBOX && ./script && cat d/file && stat -c ' %U %n' script d d/file . && touch mine"
    )
    uris = (f"http://{server.host}/script,executable", f"http://{server.host}/a.tgz,extract,cache")
    fetch = [word for uri in uris for word in ("--fetch", uri)]
    done = cli("run", "--rm", "-u", "nobody", *fetch, busybox, "sh", "-c", command)
    assert (done.stdout, done.stderr) == (
        "from the script\nunpacked nobody script\n nobody d\n nobody d/file\n nobody .\n",
        "",
    )


def test_with_users_of_its_own(cli: Cli, busybox: str, server: ScriptedRegistry) -> None:
    command = ("stat", "-c", "%u", "/mnt/mesos/sandbox/script")
    fetch = ("--fetch", f"http://{server.host}/script")
    done = cli("run", "--rm", "--userns", "auto", "-u", "1000", *fetch, busybox, *command)
    assert (done.stdout, done.stderr) == ("1000\n", "")


def test_on_the_hosts_filesystem_a_task_starts_at_its_files(
    cli: Cli, busybox: str, server: ScriptedRegistry
) -> None:
    fetch = ("--fetch", f"http://{server.host}/script,executable")
    for options in ((), ("--launcher", "posix")):
        done = cli("run", "--rm", *options, *fetch, "host", "sh", "-c", "./script; pwd; echo $MESOS_SANDBOX")
        script, directory, sandbox = done.stdout.splitlines()
        assert (script, directory) == ("from the script", sandbox)


def test_a_fetch_that_fails_leaves_nothing(cli: Cli, busybox: str, server: ScriptedRegistry) -> None:
    done = cli("run", "--fetch", f"http://{server.host}/none", busybox, "true")
    assert done.returncode == 125
    assert done.stderr.startswith(f"containerizer: cannot fetch http://{server.host}/none: ")
    done = cli("run", "--fetch", "ftp://nowhere", busybox, "true")
    assert done.stderr.startswith("containerizer: cannot fetch 'ftp://nowhere'; write http://")


def test_a_container_can_be_destroyed_while_it_fetches(
    cli: Cli, busybox: str, server: ScriptedRegistry
) -> None:
    with FaultyProxy.start(server.host) as proxy:
        proxy.fault("/script", Fault(stall_after=3))
        with cli.start(
            "run", "--name", "fetching", "--fetch", f"http://{proxy.host}/script", busybox
        ) as running:
            assert proxy.stalled.acquire(timeout=30)
            assert [container["state"] for container in cli.containers()] == ["fetching"]
            removed = cli("rm", "--force", "fetching")
            assert (removed.returncode, removed.stderr) == (0, "")
            assert running.wait(30) == 125


def test_the_plan_shows_it_and_fetches_nothing(cli: Cli, busybox: str, tmp_path: Path) -> None:
    planned = cli("plan", "--fetch", str(tmp_path / "none"), busybox, "true")
    lines = [line.split() for line in planned.stdout.splitlines()]
    assert {line[0] for line in lines if line[1] == "fetcher"} == {
        "environment[MESOS_SANDBOX]",
        "mounts[/mnt/mesos/sandbox]",
    }
