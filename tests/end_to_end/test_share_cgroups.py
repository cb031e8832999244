"""Nested containers in their parent's cgroups: its limits and figures, and nobody's end but their own."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from containerizer import inspection
from containerizer.container import Container
from containerizer.containerizer import Containerizer
from containerizer.record import NoSuchContainer
from containerizer.remote import RemoteContainer
from containerizer.updating import update
from isolators.resources import Resources
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest
from launcher.kernel import cgroups
from tests.end_to_end.conftest import Cli

pytestmark = pytest.mark.requires("root", "cgroup")

SLEEPS = ("sleep", "1000")


@pytest.fixture
def owner(cli: Cli) -> Iterator[Containerizer]:
    with Containerizer(root=str(cli.root), state=str(cli.state)) as owner:
        yield owner
        with contextlib.suppress(NoSuchContainer):
            owner.get("top").remove(force=True)


def launched(owner: Containerizer, name: str, *, share: bool = False, **options: object) -> Container:
    container = owner.launch("host", SLEEPS, name=name, keep=True, share_cgroups=share, **options)
    assert container.pid is not None
    return container


def memberships(pid: int | None) -> set[str]:
    """Of ours: a host may have hierarchies that nobody joins."""
    lines = Path(f"/proc/{pid}/cgroup").read_text().split()
    return {line for line in lines if "containerizer-" in line}


def without_leaf(memberships: set[str]) -> set[str]:
    return {each.removesuffix("/leaf") for each in memberships}


def test_it_is_where_its_parent_is_at_any_depth(owner: Containerizer, cli: Cli) -> None:
    top = launched(owner, "top", pids=50)
    inner = launched(owner, "top.inner", share=True)
    deep = launched(owner, "top.inner.deep", share=True)
    assert memberships(inner.pid) == memberships(deep.pid) == memberships(top.pid)
    assert os.path.basename(cli.cgroup("pids", "top")) in "".join(memberships(deep.pid))
    assert not os.path.exists(cli.cgroup("pids", "top.inner"))
    own = launched(owner, "top.own", pids=5)
    assert memberships(own.pid).isdisjoint(memberships(top.pid))
    later = launched(owner, "top.later", share=True)
    assert without_leaf(memberships(later.pid)) == without_leaf(memberships(top.pid))


def test_one_with_cgroups_of_its_own_may_be_in_one_without(owner: Containerizer, cli: Cli) -> None:
    launched(owner, "top")
    launched(owner, "top.inner", share=True)
    deep = launched(owner, "top.inner.deep", pids=7)
    again = launched(owner, "top.inner.again", share=True)
    assert cgroups.read(cli.cgroup("pids", "top.inner.deep"), "pids.max") == "7"
    assert deep.pid in cgroups.pids(cli.cgroup("pids", "top.inner.deep"))
    assert again.pid in cgroups.pids(cgroups.home(cli.cgroup("pids", "top")))
    for name in ("top.inner.deep", "top.inner.again", "top.inner"):
        RemoteContainer(owner, ContainerId.parse(name)).remove(force=True)
    assert not os.path.exists(cli.cgroup("pids", "top.inner"))


def test_its_end_is_nobody_elses(owner: Containerizer) -> None:
    top = launched(owner, "top")
    first, second = (launched(owner, f"top.{name}", share=True) for name in ("first", "second"))
    first.destroy()
    RemoteContainer(owner, second.id).destroy()
    assert first.termination is not None and first.termination.exit_status.signal == 9
    assert inspection.status(owner, top.id).running
    third = launched(owner, "top.third", share=True)
    top.destroy()
    assert not inspection.status(owner, third.id).running


def test_one_that_another_process_ends(owner: Containerizer, cli: Cli) -> None:
    top = launched(owner, "top")
    assert cli("run", "-d", "--share-cgroups", "--name", "top.inner", "host", *SLEEPS).returncode == 0
    assert cli("rm", "-f", "top.inner").returncode == 0
    assert inspection.status(owner, top.id).running


def test_limits_are_its_parents(owner: Containerizer, cli: Cli) -> None:
    launched(owner, "top", pids=50)
    done = cli("run", "--share-cgroups", "--pids-limit", "5", "--name", "top.inner", "host", "true")
    assert done.returncode == 125
    assert "a container in its parent's cgroups has no pids of its own" in done.stderr
    isolators = "filesystem/linux,namespaces/pid,cgroups/cpuset"
    other = Containerizer(root=str(cli.root), state=str(cli.state), isolation=isolators)
    with other, pytest.raises(InvalidRequest, match="has no cpuset_cpus of its own"):
        other.launch("host", SLEEPS, name="top.inner", share_cgroups=True, cpuset_cpus="0")
    assert [container["id"] for container in cli.containers()] == ["top"]
    inner = launched(owner, "top.inner", share=True)
    with pytest.raises(InvalidRequest, match="enforces pids; it is in the cgroups of top: update that"):
        update(owner, inner.id, Resources(pids=5))
    update(owner, inner.id.parent or inner.id, Resources(pids=40))
    assert cgroups.read(cli.cgroup("pids", "top"), "pids.max") == "40"


def test_figures_and_the_freezer_are_its_parents(owner: Containerizer, cli: Cli) -> None:
    top = launched(owner, "top")
    inner = launched(owner, "top.inner", share=True)
    assert inner.usage().processes is None
    assert inspection.usage(owner, inner.id).memory_bytes is None
    assert top.usage().processes == 2
    assert [process.pid for process in owner.get("top.inner").processes()] == [inner.pid]
    with pytest.raises(InvalidRequest, match="in its parent's cgroups; pause top"):
        owner.get("top.inner").pause()
    owner.get("top").pause()
    assert owner.get("top.inner").paused
    owner.get("top").resume()
    listed = json.loads(cli("stats", "--no-stream", "--json", "--interval", "0.05", "top.inner").stdout)
    assert listed


def test_only_in_another_container(cli: Cli) -> None:
    done = cli("run", "--share-cgroups", "host", "true")
    assert done.returncode == 125
    assert "a container that is in no other cannot share cgroups" in done.stderr


@pytest.mark.requires("overlay", "registry", "busybox", "cgroup1")
def test_its_image_sees_its_parents_cgroups(owner: Containerizer, busybox: str, cli: Cli) -> None:
    """By these a program finds out how much memory it may take."""
    owner.launch(busybox, SLEEPS, name="top", mem="64m", keep=True)
    limit = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes"
    done = cli("run", "--rm", "--share-cgroups", "--name", "top.inner", busybox, "sh", "-c", limit)
    assert (done.stdout, done.stderr) == (f"{64 << 20}\n", "")
