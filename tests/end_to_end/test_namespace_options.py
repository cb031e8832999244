"""`run --userns`, `--time-offset` and `--init`: from the command line to the task."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Cli

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox")

MAP = "cat /proc/self/uid_map; read line"
ALLOCATED = Path("/run/containerizer/users")


@pytest.mark.requires("userns")
def test_root_is_somebody_else_outside(cli: Cli, busybox: str) -> None:
    script = "id -u; cat /proc/self/uid_map /proc/self/gid_map; touch /new && stat -c %u /new /bin/sh"
    done = cli("run", "--rm", "--userns", "300000:1000", busybox, "sh", "-c", script)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines == [["0"], ["0", "300000", "1000"], ["0", "300000", "1000"], ["0"], ["0"]]


@pytest.mark.requires("userns")
def test_a_range_is_picked_by_the_name(cli: Cli, busybox: str) -> None:
    options = ("--rm", "--userns", "auto", busybox, "cat", "/proc/self/uid_map")
    one, again, other = (cli("run", "--name", name, *options).stdout.split() for name in ("a", "a", "b"))
    assert one == again
    assert int(one[1]) != int(other[1])
    assert one[2] == other[2] == "65536"


@pytest.mark.requires("userns")
def test_the_range_is_held_while_the_container_is_there(cli: Cli, busybox: str) -> None:
    """By all containers of the host, whatever their directories; the same name picks the same range."""
    other = Cli(cli.root, cli.state.with_name("other-state"))
    options = ("run", "-i", "--rm", "--userns", "auto")
    with cli.start(*options, "--name", "held", busybox, "sh", "-c", MAP) as process:
        assert process.stdout is not None
        held = process.stdout.readline().split()[1]
        (link,) = (path for path in ALLOCATED.iterdir() if os.readlink(path) == "held")
        process.communicate("\n")
        assert not link.is_symlink()
    assert other("run", "--rm", "--userns", "subuid:nobody-has-this", busybox, "true").returncode == 125
    again = other(*options, "--name", "held", busybox, "sh", "-c", MAP, stdin="\n").stdout.split()[1]
    assert again == held


@pytest.mark.parametrize("asked", ["0:65536", "300000:5", "300000:x", "-5", "4294967000:65536", "some"])
def test_an_impossible_range(cli: Cli, busybox: str, asked: str) -> None:
    done = cli("run", "--rm", f"--userns={asked}", busybox, "true")
    assert done.returncode == 125
    assert "invalid range of users" in done.stderr


def test_without_the_isolator_it_is_refused(cli: Cli, busybox: str) -> None:
    done = cli("run", "--rm", "--isolation", "filesystem/linux", "--userns", "auto", busybox, "true")
    assert done.returncode == 125
    assert "no loaded isolator enforces userns; add namespaces/user to --isolation" in done.stderr


def test_shifted_clocks(cli: Cli, busybox: str) -> None:
    days = 40 * 24 * 3600
    done = cli("run", "--rm", "--time-offset", f"boottime={days}", busybox, "cat", "/proc/uptime")
    assert float(done.stdout.split()[0]) > days
    assert (
        "unknown clock 'realtime'"
        in cli("run", "--rm", "--time-offset", "realtime=1", busybox, "true").stderr
    )


def test_init(cli: Cli, busybox: str) -> None:
    done = cli(
        "run",
        "--rm",
        "--init",
        busybox,
        "sh",
        "-c",
        "cat /proc/1/comm; tr '\\0' '\\n' < /proc/1/cmdline; exit 3",
    )
    assert done.returncode == 3
    assert done.stdout.split("\0")[0].split("\n")[:2] == ["ctz:init", "containerizer init"]


@pytest.mark.requires("userns")
def test_init_in_a_user_namespace_as_a_user(cli: Cli, busybox: str) -> None:
    options = ("--init", "--userns", "auto", "-u", "1000")
    done = cli("run", "--rm", *options, busybox, "sh", "-c", "id -u; kill -9 $$")
    assert (done.returncode, done.stdout) == (137, "1000\n")
