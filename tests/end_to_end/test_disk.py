"""`--disk`: what a container may write to its own filesystem, by whomever it is watched, and by nobody."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest

from containerizer import Containerizer
from tests.end_to_end.conftest import Cli, Write

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox", "cgroup")

NAME = f"disk-{os.getpid()}"
WRITE = "head -c 24m /dev/zero >/written && exec sleep 1000"  # seconds: until somebody kills it
LIMITED = ("--disk", "8m", "--name", NAME)
SAID = "or more: limit 8.0 MiB"


@pytest.fixture(autouse=True)
def nothing_stays(cli: Cli) -> Iterator[None]:
    yield
    cli("rm", "--force", NAME)
    assert not (cli.state / "disk").exists()


def test_a_task_that_is_waited_for_is_told_of_its_limit(cli: Cli, busybox: str) -> None:
    done = cli("run", "--rm", *LIMITED, busybox, "sh", "-c", WRITE)
    assert done.returncode == 137
    assert f"containerizer: container {NAME}: disk limitation by disk/du: the sandbox takes" in done.stderr
    assert SAID in done.stderr


def test_a_detached_task_keeps_to_its_limit(cli: Cli, busybox: str) -> None:
    assert cli("run", "-d", *LIMITED, busybox, "sh", "-c", WRITE).returncode == 0
    assert cli("wait", NAME).stdout == "137\n"
    cli.wait_for_reapers()
    (listed,) = cli.containers()
    assert SAID in json.dumps(listed["termination"])


def test_a_task_within_its_limit_ends_as_it_likes(cli: Cli, busybox: str) -> None:
    done = cli("run", "--rm", *LIMITED, busybox, "sh", "-c", "head -c 4m /dev/zero >/written; exit 3")
    assert (done.returncode, done.stderr) == (3, "")


def test_what_is_nested_in_a_container_is_of_its_disk(cli: Cli, busybox: str) -> None:
    """The root ends, and with it what is in it."""
    asked = {"root": str(cli.root), "state": str(cli.state), "isolation": _isolation()}
    with Containerizer(**asked) as owner:
        root = owner.launch(busybox, ["sleep", "1000"], name=NAME, disk="8m")
        nested = owner.launch(busybox, ["sh", "-c", WRITE], name=f"{NAME}.nested")
        termination = root.wait(60)
        assert termination is not None
        assert termination.limitation is not None
        assert (termination.limitation.resource, termination.exit_code) == ("disk", 137)
        ended = nested.wait(60)
        assert ended is not None
        assert (ended.limitation, ended.exit_code) == (None, 137)


def test_an_update_raises_the_limit_and_stats_tell_it(cli: Cli, busybox: str) -> None:
    script = "mkfifo /go; read line </go; head -c 24m /dev/zero >/written; exit 3"
    assert cli("run", "-d", *LIMITED, busybox, "sh", "-c", script).returncode == 0
    assert cli("update", "--disk", "64m", NAME).returncode == 0
    (told,) = json.loads(cli("stats", "--no-stream", "--json", "--interval", "0.05", NAME).stdout)
    assert told["disk_limit_bytes"] == 64 << 20
    table = cli("stats", "--no-stream", "--interval", "0.05", NAME).stdout
    assert table.splitlines()[0].split()[-1] == "DISK"
    assert cli("exec", NAME, "sh", "-c", "until test -p /go; do sleep 0.01; done; echo >/go").returncode == 0
    assert cli("wait", NAME).stdout == "3\n"


def test_a_limit_that_fits_nothing_is_refused(cli: Cli, busybox: str) -> None:
    done = cli("run", "--disk", "10k", busybox, "true")
    assert done.returncode == 125
    assert "disk/du: disk limit of 10240 bytes is too small to start anything" in done.stderr
    done = cli("run", "--storage-opt", "inodes=7", busybox, "true")
    assert "unknown --storage-opt 'inodes=7'; write size=SIZE" in done.stderr


def test_the_posix_launchers_tasks_have_it_too(cli: Cli) -> None:
    options = ("--launcher", "posix", "--name", NAME, "--storage-opt", "size=8m")
    sandbox = cli.root / "containers" / NAME
    done = cli("run", *options, "host", "sh", "-c", f"head -c 24m /dev/zero >{sandbox}/file; exec sleep 1000")
    assert done.returncode == 137
    assert SAID in done.stderr


_CHANGE_PROJECT = """
import fcntl, os, struct
with open(os.path.join("{sandbox}", "file"), "w") as file:
    attributes = fcntl.ioctl(file, 0x801C581F, bytes(28))  # FS_IOC_FSGETXATTR
    for number, argument in ((0x401C5820, attributes), (0x40086602, bytes(8))):  # and SET, and SETFLAGS
        try:
            fcntl.ioctl(file, number, argument)
            print("done")
        except OSError as error:
            print(error.strerror)
"""


@pytest.mark.parametrize("limit", [(), ("--disk", "8m")])
def test_whoever_has_a_limit_cannot_take_files_out_of_their_project(cli: Cli, limit: tuple[str, ...]) -> None:
    """Which would be out of its quota, where the filesystem keeps one; nor anybody into another's."""
    program = _CHANGE_PROJECT.format(sandbox=cli.root / "containers" / NAME)
    done = cli("run", "--rm", "--name", NAME, *limit, "host", "/usr/bin/python3", "-c", program)
    assert done.stderr == ""
    refused = "Operation not permitted"
    assert done.stdout.splitlines() == [refused, refused if limit else "done"]


def _isolation() -> tuple[str, ...]:
    from isolators import catalog

    return (*catalog.DEFAULT, "disk/du")


def test_a_container_of_a_pod_has_ephemeral_storage(cli: Cli, manifest: Write) -> None:
    limits = {"resources": {"limits": {"ephemeral-storage": "8Mi"}}}
    path = manifest({"script": WRITE, **limits}, {"name": "other", "script": "exit 0"})
    done = cli("pod", "run", "--rm", path)
    assert done.returncode == 137
    assert "containerizer: pod.one: disk limitation by disk/du" in done.stderr
    assert SAID in done.stderr
