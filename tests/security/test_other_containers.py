"""What is another container's, or kept for people: sandboxes, logs, sockets, records."""

from __future__ import annotations

import os

import pytest

from tests.end_to_end.conftest import Cli
from tests.security.conftest import running

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox")


def test_of_another_user_of_the_host(cli: Cli, busybox: str) -> None:
    """Nobody but their owner passes to the sandbox, its log, the records and the attach socket."""
    with running(cli, busybox, script="echo secret; exec sleep 1000") as name:
        sandbox, state = cli.root / "containers" / name, cli.state / "containers" / name
        assert {"log", "rootfs"} <= set(os.listdir(sandbox))
        assert {"container.json", "attach.sock", "launch_info.json"} <= set(os.listdir(state))
        for directory in (sandbox, state):
            assert directory.stat().st_mode & 0o077 == 0, directory
            assert directory.stat().st_uid == 0


def test_from_another_container(cli: Cli, busybox: str) -> None:
    """Neither its files nor its processes nor its sockets are anywhere below another's root."""
    secret = f"secret-{os.getpid()}"
    with running(cli, busybox, script=f"echo {secret} > /{secret}; echo {secret}; exec sleep 1000") as one:
        for options in ((), ("--userns", "auto"), ("-u", "1000")):
            script = f"find / -name '*{secret}*' -o -name '{one}*' 2>/dev/null; grep {one} /proc/mounts"
            done = cli("run", "--rm", *options, busybox, "sh", "-c", script)
            assert done.stdout == "", options


def test_mounts_tell_no_paths_of_the_host(cli: Cli, busybox: str) -> None:
    """But for the layers, which overlayfs shows: they are no secret, and no path leads to them."""
    done = cli("run", "--rm", busybox, "sh", "-c", "cat /proc/self/mountinfo")
    others = [line for line in done.stdout.splitlines() if " - overlay " not in line]
    assert str(cli.root) not in "\n".join(others)
    assert str(cli.state) not in done.stdout


def test_containers_in_user_namespaces_share_no_ids(cli: Cli, busybox: str) -> None:
    maps = []
    with running(cli, busybox, "--userns", "auto") as one, running(cli, busybox, "--userns", "auto") as other:
        for name in (one, other):
            inside, outside, count = map(int, cli("exec", name, "cat", "/proc/self/uid_map").stdout.split())
            assert (inside, count) == (0, 65536)
            maps.append(outside)
    assert abs(maps[0] - maps[1]) >= 65536
    assert min(maps) > 65536, "no user of the host's"
