"""Who has which CPUs, alone or among others; and that real processes run there, on either version."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from isolators import ownership
from isolators.cgroups.cpu_claims import CpusTaken, directory_of
from isolators.cgroups.cpuset import CgroupsCpuset
from isolators.isolator import IsolatorFlags, IsolatorUnavailable
from isolators.resources import Resources
from launcher.container_id import ContainerId
from launcher.data import replace
from launcher.errors import InvalidRequest
from launcher.kernel import cgroups
from tests.isolators.support import CONFIG, WEB, task

OTHER = ContainerId("other")
CPUS = sorted(os.sched_getaffinity(0))

pytestmark = [
    pytest.mark.requires("root", "cgroup"),
    pytest.mark.skipif(len(CPUS) < 2, reason="this process may run on one CPU only"),
]


@pytest.fixture
def flags(tmp_path: Path) -> IsolatorFlags:
    state = str(tmp_path / "state")
    return IsolatorFlags(cgroups_root=f"containerizer-test-{os.getpid()}", state=state, own_state=state)


@pytest.fixture
def cpuset(flags: IsolatorFlags) -> Iterator[CgroupsCpuset]:
    try:
        isolator = CgroupsCpuset(flags)
    except IsolatorUnavailable as error:
        pytest.skip(str(error))
    yield isolator
    for container_id in (WEB, OTHER):
        isolator.cleanup(container_id)
    assert not os.path.exists(directory_of(flags))


def prepare(isolator: CgroupsCpuset, container_id: ContainerId, **asked: object) -> set[int]:
    """Where a task of the container then may run."""
    resources = Resources(**asked)
    isolator.check(resources)
    isolator.prepare(container_id, replace(CONFIG, resources=resources))
    return where(isolator, container_id)


def where(isolator: CgroupsCpuset, container_id: ContainerId) -> set[int]:
    with task("sys.stdin.readline()") as process:
        cgroups.attach(isolator.cgroup(container_id), process.pid)
        return os.sched_getaffinity(process.pid)


def test_each_gets_cpus_of_its_own(cpuset: CgroupsCpuset) -> None:
    (first,) = prepare(cpuset, WEB, cpuset_count=1, cpuset_exclusive=True)
    others = prepare(cpuset, OTHER, cpuset_count=len(CPUS) - 1, cpuset_exclusive=True)
    assert first not in others
    assert {first, *others} == set(CPUS)
    with pytest.raises(CpusTaken, match=rf"1 CPUs are asked for, and 0 of {len(CPUS)} are left"):
        prepare(cpuset, ContainerId("third"), cpuset_count=1)
    cpuset.cleanup(ContainerId("third"))
    with pytest.raises(CpusTaken, match=f"CPU {first} is for container web alone"):
        cpuset.update(OTHER, Resources(cpuset_cpus=str(first)))
    cpuset.cleanup(WEB)
    cpuset.update(OTHER, Resources(cpuset_count=len(CPUS), cpuset_exclusive=True))
    assert where(cpuset, OTHER) == set(CPUS)


def test_who_shares_gets_the_least_used(cpuset: CgroupsCpuset) -> None:
    (first,) = prepare(cpuset, WEB, cpuset_cpus=str(CPUS[0]))
    assert first == CPUS[0]
    assert prepare(cpuset, OTHER, cpuset_count=1) == {CPUS[1]}
    with pytest.raises(CpusTaken, match=f"CPU {CPUS[1]} is used by other containers"):
        cpuset.update(WEB, Resources(cpuset_cpus=str(CPUS[1]), cpuset_exclusive=True))
    cpuset.update(OTHER, Resources(cpuset_count=-1))
    assert where(cpuset, OTHER) == set(CPUS)
    cpuset.update(WEB, Resources(cpuset_cpus=str(CPUS[1]), cpuset_exclusive=True))
    assert where(cpuset, WEB) == {CPUS[1]}


def test_it_keeps_what_it_has(cpuset: CgroupsCpuset) -> None:
    before = prepare(cpuset, WEB, cpuset_count=1)
    prepare(cpuset, OTHER, cpuset_count=1)
    for exclusive in (True, False, True):
        cpuset.update(WEB, Resources(cpuset_count=1, cpuset_exclusive=exclusive))
        assert where(cpuset, WEB) == before


@pytest.mark.parametrize("depth", [1, 3])
def test_a_nested_one_has_some_of_its_parents(cpuset: CgroupsCpuset, depth: int) -> None:
    container = WEB
    own = prepare(cpuset, WEB, cpuset_count=2, cpuset_exclusive=True)
    for level in range(depth):
        container = ContainerId(f"level-{level}", container)
        own = prepare(cpuset, container, cpuset_count=2 if level < depth - 1 else 1, cpuset_exclusive=True)
    sibling = ContainerId("sibling", container.parent)
    assert prepare(cpuset, sibling, cpuset_count=1, cpuset_exclusive=True).isdisjoint(own)
    with pytest.raises(CpusTaken, match="and 0 of 2 are left"):
        prepare(cpuset, ContainerId("third", container.parent), cpuset_count=1)
    for each in (sibling, container, *parents(container)):
        cpuset.cleanup(each)


def parents(container: ContainerId) -> list[ContainerId]:
    return [container.parent, *parents(container.parent)] if container.parent else []


def test_what_the_gone_have_left_is_given_back(cpuset: CgroupsCpuset, flags: IsolatorFlags) -> None:
    (first,) = prepare(cpuset, WEB, cpuset_count=1, cpuset_exclusive=True)
    os.makedirs(ownership.holder(flags, OTHER))
    prepare(cpuset, OTHER, cpuset_count=1)
    assert f"the claim of CPU {first}" in cpuset.recover(lambda container_id: True)
    assert prepare(cpuset, WEB, cpuset_cpus=str(first), cpuset_exclusive=True) == {first}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"cpuset_count": 0}, "0 CPUs are asked for"),
        ({"cpuset_count": -2}, "-2 CPUs are asked for"),
        ({"cpuset_count": 100_000}, "100000 CPUs are asked for"),
        ({"cpuset_count": 1, "cpuset_cpus": "0"}, "CPUs are asked for by a list and by a number"),
        ({"cpuset_exclusive": True}, "CPUs of its own, but not which or how many"),
        ({"cpuset_exclusive": True, "cpuset_count": -1}, "CPUs of its own, but not which or how many"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_made(
    cpuset: CgroupsCpuset, asked: dict[str, int], message: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        cpuset.check(Resources(**asked))
    assert str(caught.value).startswith(message)
    assert not os.path.exists(cpuset.cgroup(WEB))
