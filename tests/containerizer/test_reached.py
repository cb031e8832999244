"""Limits that a container goes on within: noted once each, in bounds, whatever the file has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from containerizer import reached
from containerizer.paths import Paths
from containerizer.record import ContainerRecord
from isolators.isolator import Isolator, IsolatorFlags
from isolators.resources import Limitation
from launcher.container_id import ContainerId
from launcher.data import replace
from launcher.errors import ContainerizerError

WEB = ContainerId("web")
PIDS = Limitation(isolator="cgroups/pids", resource="pids", message="refused", fatal=False, limit=5, usage=4)
FATAL = Limitation(isolator="cgroups/mem", resource="memory", message="killed")
RECORD = ContainerRecord(container_id="web", image="host", limits={"pids": 5})


class Counts(Isolator):
    name = "test/counts"
    enforces = frozenset({"pids"})
    told: tuple[Limitation, ...] = (PIDS,)

    def reached(self, container_id: ContainerId) -> tuple[Limitation, ...]:
        assert container_id == WEB
        return self.told


class Fails(Counts):
    def reached(self, container_id: ContainerId) -> tuple[Limitation, ...]:
        raise ContainerizerError("cannot read pids.events: no such device")


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    paths = Paths.of(str(tmp_path / "root"), str(tmp_path / "state"))
    Path(paths.container_state(WEB)).mkdir(parents=True)
    return paths


def test_each_is_noted_once(paths: Paths) -> None:
    assert reached.noted(paths, WEB) == []
    assert reached.note(paths, WEB, PIDS)
    assert not reached.note(paths, WEB, replace(PIDS, message="6 refused"))
    (noted,) = reached.noted(paths, WEB)
    assert noted.limitation == PIDS


def test_no_more_are_kept_than_a_bound(paths: Paths) -> None:
    several = [replace(PIDS, resource=f"resource {number}") for number in range(reached.MOST + 10)]
    assert [reached.note(paths, WEB, each) for each in several].count(True) == reached.MOST
    assert [each.limitation for each in reached.noted(paths, WEB)] == several[: reached.MOST]


def test_what_is_torn_or_of_another_version_is_passed_over(paths: Paths) -> None:
    reached.note(paths, WEB, PIDS)
    with open(paths.reached(WEB), "a") as file:
        file.write('{"time": 1}\n[]\n{"time": 1, "limitation": {"new": 1}}\n{"time": 3, "limi')
    assert [each.limitation for each in reached.noted(paths, WEB)] == [PIDS]


def test_a_container_that_is_gone_has_nothing(paths: Paths) -> None:
    reached.note(paths, ContainerId("gone"), PIDS)
    assert reached.noted(paths, ContainerId("gone")) == []


def test_a_watch_is_asked_until_it_has_told_all() -> None:
    def asked(*answers: Limitation | None) -> tuple[Limitation | None, list[Limitation]]:
        told: list[Limitation] = []
        left: Iterator[Limitation | None] = iter(answers)
        return reached.check(lambda: next(left), told.append), told

    assert asked(None) == (None, [])
    assert asked(PIDS, PIDS, None) == (None, [PIDS, PIDS])
    assert asked(PIDS, FATAL) == (FATAL, [PIDS])
    assert asked(*[PIDS] * 1000)[0] is None


def test_only_isolators_of_limits_that_were_asked_for_are_asked(paths: Paths) -> None:
    isolator = Counts(IsolatorFlags())
    assert reached.counted(paths, replace(RECORD, limits={}), [isolator]) == []
    assert reached.counted(paths, replace(RECORD, limits={"memory": 1}), [isolator]) == []
    assert reached.counted(paths, RECORD, [Fails(IsolatorFlags()), isolator]) == [PIDS]


def test_what_is_known_has_the_figures_of_now_unless_the_limit_was_changed(paths: Paths) -> None:
    reached.note(paths, WEB, PIDS)
    isolator = Counts(IsolatorFlags())
    isolator.told = (replace(PIDS, message="9 refused"),)
    (known,) = reached.known(paths, RECORD, [isolator])
    assert known.limitation.message == "9 refused"
    assert known.time == reached.noted(paths, WEB)[0].time
    isolator.told = (replace(PIDS, message="9 refused", limit=7), replace(PIDS, resource="other"))
    known, other = reached.known(paths, RECORD, [isolator])
    assert (known.limitation, other.limitation.resource) == (PIDS, "other")
