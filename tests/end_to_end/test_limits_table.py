"""Each limit at each level of nesting, seen by its effect: set, lowered and raised while a task runs, gone.

What is tried runs in the container as a further command of it, so in its cgroups. `make test-v1` and
`make test-v2` have this run on kernels with cgroups of one version.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from containerizer import updating
from containerizer.containerizer import Containerizer
from containerizer.nested import ExecRequest
from containerizer.request import ContainerRequest
from isolators import catalog
from isolators.resources import Resources
from launcher.container_id import ContainerId
from launcher.stdio import Inherit

pytestmark = pytest.mark.requires("root", "cgroup")

LEVELS = {"root": 1, "nested": 2, "nested in nested ones": 4}
ISOLATION = (*catalog.DEFAULT, "cgroups/cpuset", "cgroups/hugetlb")
MIB = 1 << 20

# Each prints how far it came.
FORK = """
import os, time
children = []
try:
    while len(children) < 30:
        child = os.fork()
        if not child:
            time.sleep(100)
        children.append(child)
except BlockingIOError:
    pass
for child in children:
    os.kill(child, 9)
    os.wait()
print(len(children))
"""
TOUCH = """
import mmap
pages = mmap.mmap(-1, 96 << 20)
for each in range(96):
    pages[each << 20:(each + 1) << 20] = bytes(1 << 20)
    print(each + 1, flush=True)
"""
HUGE = """
import mmap
MAP_HUGETLB = 0x40000
for count in range(8):
    try:
        page = mmap.mmap(-1, 2 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_HUGETLB)
    except OSError:
        break
    globals()[f"page{count}"] = page
    print(count + 1, flush=True)
    page[0] = 1
"""
SPIN = """
import os, time
cpu, wall = time.process_time(), time.monotonic()
while time.monotonic() < wall + 1.0:
    pass
print(time.process_time() - cpu)
"""
WHERE = "import os; print(len(os.sched_getaffinity(0)))"


class Case:
    """A limit: what is tried, and how far that comes with which limits."""

    def __init__(self, probe: str, *steps: tuple[Mapping[str, Any], Callable[[float], bool]]) -> None:
        self.probe = probe
        self.steps = steps


def up_to(most: float, least: float = 1) -> Callable[[float], bool]:
    return lambda reached: least <= reached <= most


CASES = {
    "pids": Case(
        FORK, ({"pids": 12}, up_to(12)), ({"pids": 6}, up_to(6)), ({"pids": 20}, up_to(20, least=7))
    ),
    "memory": Case(
        TOUCH,
        ({"memory": 64 * MIB, "oom_group": False}, up_to(64)),  # or its task would end, too
        ({"memory": 32 * MIB}, up_to(32)),
        ({"memory": 128 * MIB}, up_to(96, least=96)),
    ),
    # Of one second; what is counted is what the kernel gave, however slow the machine is.
    "cpus": Case(
        SPIN,
        ({"cpus": 0.5}, up_to(0.65, least=0)),
        ({"cpus": 0.2}, up_to(0.35, least=0)),
        ({"cpus": 1.0}, up_to(2, least=0)),
    ),
    "cpuset": Case(
        WHERE,
        ({"cpuset_cpus": "0-1"}, up_to(2, least=2)),
        ({"cpuset_cpus": "1"}, up_to(1)),
        ({"cpuset_cpus": "0-1"}, up_to(2, least=2)),
    ),
    "hugetlb": Case(
        HUGE,
        ({"hugetlb": {"2MB": 8 * MIB}}, up_to(5, least=4)),
        ({"hugetlb": {"2MB": 4 * MIB}}, up_to(3, least=2)),
        ({"hugetlb": {"2MB": 12 * MIB}}, up_to(7, least=6)),
    ),
}


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[Containerizer]:
    root, state = str(tmp_path / "root"), str(tmp_path / "state")
    with Containerizer(root=root, state=state, isolation=ISOLATION) as containerizer:
        yield containerizer


@pytest.fixture
def huge_pages() -> Iterator[None]:
    file = Path("/proc/sys/vm/nr_hugepages")
    before = file.read_text()
    file.write_text(str(int(before) + 8))
    yield
    file.write_text(before)


def launched(owner: Containerizer, level: int, limits: Mapping[str, Any]) -> ContainerId:
    """A container so deep, the only one of its ancestors with limits."""
    for depth in range(1, level + 1):
        name = ".".join(f"level{each}" for each in range(1, depth + 1))
        request = ContainerRequest.of("host", ["sleep", "1000"], name=name)
        config = request.config
        if depth == level:
            config = type(config)(**{**config.__dict__, "resources": Resources(**limits)})
        request = type(request)(**{**request.__dict__, "config": config})
        with open(os.devnull) as null:
            owner.create(request, Inherit(null.fileno())).start()
    return ContainerId.parse(name)


def tried(owner: Containerizer, container_id: ContainerId, probe: str) -> float:
    """How far it came, in a command of the container."""
    request = ExecRequest(command=(sys.executable, "-I", "-S", "-c", probe))
    reader, writer = os.pipe()
    with open(reader) as output, open(os.devnull) as null:
        try:
            command = owner.execute(container_id, request, Inherit(null.fileno(), writer))
        finally:
            os.close(writer)
        command.start()
        lines = output.read().split()
    command.wait()
    command.remove()
    return float(lines[-1]) if lines else 0


@pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS)
@pytest.mark.parametrize("name", CASES)
@pytest.mark.usefixtures("huge_pages")
def test_a_limit_holds(owner: Containerizer, name: str, level: int) -> None:
    case = CASES[name]
    (first, expected), *others = case.steps
    container_id = launched(owner, level, first)
    reached = tried(owner, container_id, case.probe)
    assert expected(reached), f"{first}: {reached}"
    for limits, expected in others:
        updating.update(owner, container_id, Resources(**limits))
        reached = tried(owner, container_id, case.probe)
        assert expected(reached), f"{limits}: {reached}"
