"""cgroups/cpuset: where real processes of this host may run; and v2's files, in directories."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from isolators.cgroups.cpuset import CgroupsCpuset, numbers
from isolators.isolator import IsolatorFlags, IsolatorUnavailable
from isolators.resources import Resources
from launcher.container_id import ContainerId
from launcher.data import replace
from launcher.errors import InvalidRequest
from launcher.kernel import cgroups
from launcher.kernel.cgroups import CgroupError
from tests.isolators.support import CONFIG, WEB, FakeCgroupfs, fill, task

FLAGS = IsolatorFlags(cgroups_root=f"containerizer-test-{os.getpid()}")
NESTED = ContainerId("nested", WEB)
CPUS = sorted(os.sched_getaffinity(0))

two_cpus = pytest.mark.skipif(len(CPUS) < 2, reason="this process may run on one CPU only")


@pytest.fixture
def cpuset() -> Iterator[CgroupsCpuset]:
    try:
        isolator = CgroupsCpuset(FLAGS)
    except IsolatorUnavailable as error:
        pytest.skip(str(error))
    yield isolator
    isolator.cleanup(NESTED)
    isolator.cleanup(WEB)


def prepare(isolator: CgroupsCpuset, container_id: ContainerId, cpus: str | None) -> None:
    isolator.prepare(container_id, replace(CONFIG, resources=Resources(cpuset_cpus=cpus)))


@contextmanager
def running_in(isolator: CgroupsCpuset, container_id: ContainerId) -> Iterator[int]:
    """The pid of a task in the container's cgroup; ended and gone from it afterwards."""
    with task("sys.stdin.readline()") as process:
        cgroups.attach(isolator.cgroup(container_id), process.pid)
        yield process.pid


@pytest.mark.requires("root", "cgroup")
@two_cpus
@pytest.mark.parametrize("depth", [0, 1, 3])
def test_a_task_runs_where_it_is_told(cpuset: CgroupsCpuset, depth: int) -> None:
    container = WEB
    prepare(cpuset, container, None)
    for level in range(depth):
        container = ContainerId(f"level-{level}", container)
        prepare(cpuset, container, None)
    prepare(cpuset, container, str(CPUS[0]))
    with running_in(cpuset, container) as pid:
        assert os.sched_getaffinity(pid) == {CPUS[0]}
        cpuset.update(container, Resources(cpuset_cpus=str(CPUS[1])))
        assert os.sched_getaffinity(pid) == {CPUS[1]}
        assert cpuset.status(container)["cpuset_cpus"] == str(CPUS[1])
        cpuset.update(container, Resources())
        assert os.sched_getaffinity(pid) == set(CPUS)
    cpuset.cleanup(WEB)
    assert not os.path.exists(cpuset.cgroup(WEB))


@pytest.mark.requires("root", "cgroup1")
@two_cpus
def test_a_nested_one_cannot_have_what_its_parent_lacks(cpuset: CgroupsCpuset) -> None:
    prepare(cpuset, WEB, str(CPUS[0]))
    with pytest.raises(CgroupError, match=r"cpuset\.cpus: permission denied") as caught:
        prepare(cpuset, NESTED, str(CPUS[1]))
    assert caught.value.hint == f"the cgroup above has the CPUs {CPUS[0]}: choose from those"


@pytest.mark.requires("root", "cgroup1")
@two_cpus
def test_a_parent_keeps_what_its_nested_one_has(cpuset: CgroupsCpuset) -> None:
    prepare(cpuset, WEB, None)
    prepare(cpuset, NESTED, str(CPUS[1]))
    with pytest.raises(CgroupError) as caught:
        cpuset.update(WEB, Resources(cpuset_cpus=str(CPUS[0])))
    assert caught.value.hint == "a nested container has others of the CPUs: change that one first"


@pytest.mark.requires("root", "cgroup")
@pytest.mark.parametrize(
    ("resources", "message"),
    [
        (Resources(cpuset_cpus="4000"), "this host has no CPUs 4000 for containers"),
        (Resources(cpuset_mems="900-901"), "this host has no memory nodes 900,901 for containers"),
        (Resources(cpuset_cpus=""), "invalid list of CPUs ''"),
        (Resources(cpuset_cpus="1-0"), "invalid list of CPUs '1-0'"),
        (Resources(cpuset_cpus="-1"), "invalid list of CPUs '-1'"),
        (Resources(cpuset_cpus="0,"), "invalid list of CPUs '0,'"),
        (Resources(cpuset_mems="all"), "invalid list of memory nodes 'all'"),
        (Resources(cpuset_cpus="0-99999999999"), "invalid list of CPUs '0-99999999999'"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_made(
    cpuset: CgroupsCpuset, resources: Resources, message: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        cpuset.check(resources)
    assert str(caught.value).startswith(f"{message}; ")
    assert not os.path.exists(cpuset.cgroup(WEB))


def test_v2_follows_the_cgroup_above_while_nothing_is_asked(tmp_path: Path) -> None:
    fake = FakeCgroupfs(tmp_path)
    mount_point = fake.mount_v2("cpuset")
    files = {"cpuset.cpus": "", "cpuset.mems": "", "cpuset.cpus.effective": "0-7"}
    fill(mount_point, {**files, "cpuset.mems.effective": "0", "cgroup.controllers": "cpuset"})
    isolator = CgroupsCpuset(FLAGS, fake.mountinfo)
    cgroup = fill(Path(isolator.cgroup(WEB)), {**files, "cpuset.mems.effective": "0"})
    fill(cgroup.parent, {**files, "cpuset.mems.effective": "0"})
    isolator.update(WEB, Resources())
    assert (cgroup / "cpuset.cpus").read_text() == ""
    isolator.update(WEB, Resources(cpuset_cpus="2-3"))
    assert (cgroup / "cpuset.cpus").read_text() == "2-3"
    isolator.update(WEB, Resources())
    assert (cgroup / "cpuset.cpus").read_text() == "0-7"
    assert isolator.status(WEB)["cpuset_cpus"] == "0-7"


def test_lists_are_read_as_the_kernel_does() -> None:
    assert numbers("0-3,5,7-7\n", "CPUs") == {0, 1, 2, 3, 5, 7}
