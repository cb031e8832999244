"""Which CPUs are chosen where a number of them is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from isolators.cgroups.cpu_choice import choose, cores, listed, nodes

# Two nodes of four CPUs; each core has two threads, as Intel numbers them.
NODES = {0: 0, 1: 0, 4: 0, 5: 0, 2: 1, 3: 1, 6: 1, 7: 1}
CORES = {0: 0, 4: 0, 1: 1, 5: 1, 2: 2, 6: 2, 3: 3, 7: 3}
ALL = set(NODES)


def chosen(usable: set[int], count: int, load: Mapping[int, int] | None = None) -> list[int] | None:
    return choose(usable, count, load or {}, NODES, CORES)


def test_whole_cores_of_one_node() -> None:
    assert chosen(ALL, 2) == [0, 4]
    assert chosen(ALL, 4) == [0, 1, 4, 5]
    assert chosen(ALL - {0, 4}, 4) == [2, 3, 6, 7]
    assert chosen(ALL - {0}, 2) == [1, 5]  # not the half of the core whose other half is gone


def test_the_node_that_fits_best() -> None:
    assert chosen(ALL - {2, 6}, 2) == [3, 7]


def test_as_few_nodes_as_can_be() -> None:
    assert chosen(ALL, 5) == [0, 1, 2, 4, 5]
    assert chosen(ALL - {0, 4}, 5) == [1, 2, 3, 6, 7]
    assert chosen(ALL, 9) is None


def test_the_least_used() -> None:
    assert chosen(ALL, 2, {0: 1, 4: 1}) == [1, 5]
    assert chosen(ALL, 4, {0: 1, 4: 1}) == [2, 3, 6, 7]
    assert chosen(ALL, 2, {3: -1}) == [2, 3]  # what it has it keeps


@given(st.sets(st.sampled_from(sorted(ALL))), st.integers(1, 9))
def test_as_many_as_asked_or_none(usable: set[int], count: int) -> None:
    found = chosen(usable, count)
    assert (found is None) == (len(usable) < count)
    assert found is None or (len(set(found)) == count and set(found) <= usable)


def test_the_hosts_topology_is_read(tmp_path: Path) -> None:
    for node, cpus in ((0, "0-1,4-5\n"), (1, "2-3,6-7\n"), (2, "\n")):
        (tmp_path / f"node/node{node}").mkdir(parents=True)
        (tmp_path / f"node/node{node}/cpulist").write_text(cpus)
    (tmp_path / "cpu/cpu4/topology").mkdir(parents=True)
    (tmp_path / "cpu/cpu4/topology/thread_siblings_list").write_text("0,4\n")
    assert nodes(str(tmp_path)) == NODES
    assert cores([3, 4], str(tmp_path)) == {3: 3, 4: 0}
    assert nodes(str(tmp_path / "none")) == {}
    assert listed("0-2,5\n") == [0, 1, 2, 5]
