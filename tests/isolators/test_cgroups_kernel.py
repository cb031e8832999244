"""launcher.kernel.cgroups: finding hierarchies, and cgroups that come and go under its hands."""

from __future__ import annotations

import errno
import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from launcher.kernel import cgroups
from launcher.kernel.cgroups import CgroupError, Hierarchy
from tests.isolators.support import FakeCgroupfs, task

ROOT = f"containerizer-test-{os.getpid()}"


@pytest.fixture
def fake(tmp_path: Path) -> FakeCgroupfs:
    return FakeCgroupfs(tmp_path)


@pytest.fixture(params=[1, 2])
def hierarchy(request: pytest.FixtureRequest) -> Iterator[Hierarchy]:
    """A hierarchy of this host, of each version; v2 may have any controller, on a hybrid host too."""
    found = next((h for h in cgroups.hierarchies() if usable(h, request.param)), None)
    if found is None:
        pytest.skip(f"no writable cgroup v{request.param} hierarchy with a controller")
    with enabled_controllers_kept(found):
        yield found
        cgroups.remove(os.path.join(found.mount_point, ROOT))


def usable(hierarchy: Hierarchy, version: int) -> bool:
    # Not v1's cpuset: a process can join it only after CPUs were chosen for it.
    controllers = [c for c in hierarchy.controllers if c != "cpuset" and "=" not in c]
    return hierarchy.version == version and bool(controllers) and os.access(hierarchy.mount_point, os.W_OK)


@contextmanager
def enabled_controllers_kept(hierarchy: Hierarchy) -> Iterator[None]:
    if hierarchy.version == 1:
        yield
        return
    before = cgroups.read(hierarchy.mount_point, "cgroup.subtree_control").split()
    yield
    for controller in set(cgroups.read(hierarchy.mount_point, "cgroup.subtree_control").split()) - {*before}:
        cgroups.write(hierarchy.mount_point, "cgroup.subtree_control", f"-{controller}")


def controller_of(hierarchy: Hierarchy) -> str:
    """Not one of those that v2 also has for threads: next to such the parent may keep its processes."""
    domain = [c for c in hierarchy.controllers if c not in ("cpu", "cpuset", "perf_event", "pids")]
    return (domain or hierarchy.controllers)[0]


def create(hierarchy: Hierarchy, path: str) -> str:
    return cgroups.create(hierarchy, f"{ROOT}/{path}", controller_of(hierarchy))


def has_controller(hierarchy: Hierarchy, cgroup: str) -> bool:
    return any(name.startswith(f"{controller_of(hierarchy)}.") for name in os.listdir(cgroup))


def test_hybrid_host(fake: FakeCgroupfs) -> None:
    v1, v2 = fake.mount_v1("cpu", "cpuacct"), fake.mount_v2("memory", "pids")
    cpu = Hierarchy(version=1, mount_point=str(v1), controllers=("cpu", "cpuacct"))
    assert cgroups.find("cpu", fake.mountinfo) == cgroups.find("cpuacct", fake.mountinfo) == cpu
    unified = Hierarchy(version=2, mount_point=str(v2), controllers=("memory", "pids"))
    assert cgroups.find("memory", fake.mountinfo) == unified
    assert cgroups.find("io", fake.mountinfo) is None


def test_named_hierarchy_has_no_controller(fake: FakeCgroupfs) -> None:
    fake.mount_v1("xattr", "name=systemd")
    assert cgroups.hierarchies(fake.mountinfo)[0].controllers == ("name=systemd",)
    assert cgroups.find("systemd", fake.mountinfo) is None


def test_whole_hierarchy_before_a_part_of_it(fake: FakeCgroupfs) -> None:
    with open(fake.mountinfo, "a") as file:
        file.write("40 21 0:29 /docker/1 /part rw - cgroup cgroup rw,pids\n")
    whole = fake.mount_v1("pids")
    found = cgroups.find("pids", fake.mountinfo)
    assert found and found.mount_point == str(whole)


def test_mount_point_with_a_space(fake: FakeCgroupfs) -> None:
    with open(fake.mountinfo, "a") as file:
        file.write("40 21 0:29 / /a\\040b rw - cgroup cgroup rw,pids\n")
    found = cgroups.find("pids", fake.mountinfo)
    assert found and found.mount_point == "/a b"


def test_covered_v2_mount_has_no_controllers(fake: FakeCgroupfs) -> None:
    (fake.mount_v2("pids") / "cgroup.controllers").unlink()
    assert cgroups.find("pids", fake.mountinfo) is None


def test_error_names_file_and_value(tmp_path: Path) -> None:
    with pytest.raises(
        CgroupError, match=rf"cannot write '5' to {tmp_path}/pids.max: no such file"
    ) as caught:
        cgroups.write(str(tmp_path), "pids.max", "5")
    assert caught.value.errno == errno.ENOENT
    with pytest.raises(CgroupError, match=rf"cannot read {tmp_path}/pids.max"):
        cgroups.read(str(tmp_path), "pids.max")


def test_shorter_value_replaces_the_whole(tmp_path: Path) -> None:
    (tmp_path / "pids.max").write_text("100000")
    cgroups.write(str(tmp_path), "pids.max", "5")
    assert cgroups.read(str(tmp_path), "pids.max") == "5"


def test_remove_of_a_missing_cgroup_is_fine(tmp_path: Path) -> None:
    cgroups.remove(str(tmp_path / "missing"))
    cgroups.remove_if_empty(str(tmp_path / "missing"))


@pytest.mark.requires("root")
def test_remove_takes_the_tree(hierarchy: Hierarchy) -> None:
    cgroup = create(hierarchy, "ct-a/ct-b/ct-c")
    cgroups.remove_if_empty(os.path.join(hierarchy.mount_point, ROOT))
    assert os.path.isdir(cgroup)
    cgroups.remove(os.path.join(hierarchy.mount_point, ROOT))
    assert not os.path.exists(os.path.join(hierarchy.mount_point, ROOT))


@pytest.mark.requires("root")
def test_remove_waits_for_the_killed(hierarchy: Hierarchy) -> None:
    cgroup = create(hierarchy, "ct-a")
    with task("sys.stdin.read()") as process:
        cgroups.attach(cgroup, process.pid)
        assert cgroups.pids(cgroup) == [process.pid]
        process.kill()
        cgroups.remove(cgroup)
    assert not os.path.exists(cgroup)


@pytest.mark.requires("root")
def test_remove_says_who_is_still_there(hierarchy: Hierarchy) -> None:
    cgroup = create(hierarchy, "ct-a")
    with task("sys.stdin.read()") as process:
        cgroups.attach(cgroup, process.pid)
        with pytest.raises(CgroupError, match=rf"cannot remove cgroup {cgroup}.*\[{process.pid}\]"):
            cgroups.remove(cgroup, timeout=0.01)


@pytest.mark.requires("root")
def test_attach_of_an_ended_process_is_an_error(hierarchy: Hierarchy) -> None:
    cgroup = create(hierarchy, "ct-a")
    with task("") as process:
        pass
    with pytest.raises(CgroupError, match=f"cannot write '{process.pid}' to {cgroup}/cgroup.procs") as caught:
        cgroups.attach(cgroup, process.pid)
    assert caught.value.errno == errno.ESRCH


def come_and_go(hierarchy: Hierarchy, name: str) -> None:
    """A container's cgroup, many times; the last to go removes the root that another makes."""
    for _ in range(200):
        cgroup = create(hierarchy, f"{name}")
        assert has_controller(hierarchy, cgroup)
        cgroups.remove(cgroup)
        cgroups.remove_if_empty(os.path.dirname(cgroup))


@pytest.mark.requires("root")
def test_containers_come_and_go_at_the_same_time(hierarchy: Hierarchy) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=come_and_go, args=(hierarchy, f"ct-{n}")) for n in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    exit_codes = [worker.exitcode for worker in workers]
    for worker in workers:
        worker.close()
    assert exit_codes == [0] * 4
    assert not os.path.exists(os.path.join(hierarchy.mount_point, ROOT))


@pytest.mark.requires("root")
@pytest.mark.parametrize("hierarchy", [2], indirect=True)
def test_vacated_cgroup_can_have_children(hierarchy: Hierarchy) -> None:
    parent = create(hierarchy, "ct-a")
    with task("sys.stdin.read()") as process:
        cgroups.attach(parent, process.pid)
        with pytest.raises(CgroupError, match=r"cgroup\.subtree_control"):
            create(hierarchy, "ct-a/ct-b")
        cgroups.vacate(parent)
        child = create(hierarchy, "ct-a/ct-b")
        assert has_controller(hierarchy, child)
        assert cgroups.pids(os.path.join(parent, cgroups.LEAF)) == [process.pid]
