"""An ordinary user in a cgroup of v2 that is delegated to it: limits, figures and the freezer, as root's."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.ordinary_user import UID, User, ordinary_user

pytestmark = pytest.mark.requires("root", "userns", "uidmap", "overlay", "busybox", "cgroup2")

CGROUPS = Path("/sys/fs/cgroup")
DELEGATED = CGROUPS / "people" / "me"
CONTROLLERS = "+cpu +memory +pids"
LIMITS = ("-m", "64m", "--cpus", "0.5", "--pids-limit", "20")


@pytest.fixture
def user() -> Iterator[User]:
    """In a cgroup of its own, as systemd would have made it for a unit with Delegate=yes."""
    DELEGATED.mkdir(parents=True)
    for cgroup in (CGROUPS, DELEGATED.parent):
        (cgroup / "cgroup.subtree_control").write_text(CONTROLLERS)
    for path in (
        DELEGATED,
        *(DELEGATED / f"cgroup.{name}" for name in ("procs", "threads", "subtree_control")),
    ):
        os.chown(path, UID, UID)
    leaf = DELEGATED / "leaf"
    # Once there are cgroups of containers, processes can only be in a leaf beside those.
    join = f'place={leaf}; test -d $place || place={DELEGATED}; echo $$ > $place/cgroup.procs && exec "$@"'
    try:
        with ordinary_user(within=("sh", "-c", join, "sh")) as made:
            yield made
    finally:
        for directory in (leaf, *DELEGATED.glob("containerizer-*"), DELEGATED, DELEGATED.parent):
            with contextlib.suppress(FileNotFoundError):
                directory.rmdir()


def test_limits_are_those_that_were_asked_for(user: User) -> None:
    show = "cd /sys/fs/cgroup; cat memory.max cpu.max pids.max cgroup.controllers"
    lines = user.run(*LIMITS, user.image, "sh", "-c", show).splitlines()
    assert lines == [str(64 << 20), "50000 100000", "20", "cpu memory pids"]
    done = user("run", "--rm", *LIMITS, user.image, "tail", "/dev/zero")
    assert (done.returncode, "memory limitation by cgroups/mem" in done.stderr) == (137, True)
    done = user("run", "--rm", "--cpuset-cpus", "0", user.image, "true")
    assert (done.returncode, "cgroup controller cpuset" in done.stderr) == (
        125,
        True,
    )  # what was not delegated


def test_figures_update_and_freezer(user: User) -> None:
    assert user("run", "-d", "--name", "box", "-m", "64m", user.image, "sleep", "1000").returncode == 0
    assert user("update", "-m", "32m", "box").returncode == 0
    (cgroup,) = DELEGATED.glob("containerizer-*/ct-box")
    assert (cgroup / "memory.max").read_text() == f"{32 << 20}\n"
    assert '"memory_limit_bytes": 33554432' in user("stats", "--no-stream", "--json", "box").stdout
    assert user("pause", "box").returncode == 0
    assert "frozen 1" in (cgroup / "cgroup.events").read_text()
    assert user("unpause", "box").returncode == 0
    assert user("exec", "box", "echo", "on").stdout == "on\n"
    assert user("rm", "-f", "box").returncode == 0
    assert not cgroup.exists()


def test_nothing_is_moved_or_made_where_nothing_is_delegated(user: User) -> None:
    os.chown(DELEGATED / "cgroup.subtree_control", 0, 0)
    done = user("run", "--rm", "-m", "64m", user.image, "true")
    assert (done.returncode, "permission to make cgroups" in done.stderr) == (125, True)
    assert not (DELEGATED / "leaf").exists()
