"""Who is root in a container does not change its limits: what it has of cgroups is to be looked at."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest

from launcher.kernel import cgroups
from tests.end_to_end.conftest import Cli

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox", "cgroup")

NAME = f"inside-{os.getpid()}"
LIMIT = 64 << 20
MOUNTER = ("--cap-add", "SYS_ADMIN")

# By the mount that is there, by one of its own, and in a cgroup below.
SCRIPT = """
try() { "$@" 2>/dev/null && echo "$@"; }
raise() { try sh -c "echo $((1 << 30)) >$1/$FILE"; }
mkdir -p /own
try mount -o remount,bind,rw $DIRECTORY
raise $DIRECTORY
mount -t $KIND own /own 2>/dev/null && raise /own
test -e $DIRECTORY/release_agent && try sh -c "echo /x >$DIRECTORY/release_agent"
mkdir $DIRECTORY/below 2>/dev/null && raise $DIRECTORY/below
sleep 1000
"""


def started(cli: Cli, busybox: str, version: int, options: Sequence[str]) -> None:
    where = {
        1: ("memory.limit_in_bytes", "/sys/fs/cgroup/memory", "cgroup -o memory"),
        2: ("memory.max", "/sys/fs/cgroup", "cgroup2"),
    }
    variables = dict(zip(("FILE", "DIRECTORY", "KIND"), where[version], strict=True))
    environment = [word for name, value in variables.items() for word in ("-e", f"{name}={value}")]
    limits = ("-m", str(LIMIT), "--memory-swap", "-1")  # on v1 swap's limit would keep memory's
    done = cli("run", "-d", "--name", NAME, *limits, *environment, *options, busybox, "sh", "-c", SCRIPT)
    assert done.stderr == ""
    until_it_sleeps = "until ps | grep -q '[s]leep 1000'; do sleep 0.02; done"
    assert cli("exec", NAME, "sh", "-c", until_it_sleeps).returncode == 0


@pytest.mark.parametrize("options", [(), MOUNTER], ids=["default", "mounts"])
def test_a_limit_is_not_its_to_raise(cli: Cli, busybox: str, options: Sequence[str]) -> None:
    hierarchy = cgroups.find("memory")
    assert hierarchy
    if options and hierarchy.version == 1:
        pytest.skip("v1 has nothing against it: docs/isolators/cgroups-all.md")
    started(cli, busybox, hierarchy.version, options)
    file = "memory.max" if hierarchy.version == 2 else "memory.limit_in_bytes"
    limit = cgroups.read(cli.cgroup("memory", NAME), file)
    tried = cli("logs", NAME).stdout.splitlines()
    assert cli("rm", "-f", NAME).returncode == 0
    assert limit == str(LIMIT)
    assert [each for each in tried if "remount" not in each] == []
    assert bool(tried) == bool(options)
