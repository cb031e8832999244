"""What is noted of a container's volumes: also by another version, and until they are removed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from containerizer import record
from containerizer.paths import Paths
from containerizer.record import ContainerRecord
from containerizer.volumes import kept
from isolators.flags import IsolatorFlags
from isolators.volume_store import VolumeRecord, VolumeStore
from isolators.volumes import NAMED, Volume
from launcher.container_id import ContainerId

WEB = ContainerId("web")
DATA = Volume(kind=NAMED, source="data", target="/data", driver="local", anonymous=True)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    made = Paths.of(str(tmp_path / "root"), str(tmp_path / "state"))
    record.reserve(made, ContainerRecord(container_id="web", image="busybox"))
    return made


def test_what_was_noted_is_known(paths: Paths) -> None:
    assert kept.of(paths, WEB) == ()
    kept.note(paths, WEB, (DATA,))
    assert kept.of(paths, WEB) == (DATA,)


def test_fields_of_another_version_are_left_out(paths: Paths) -> None:
    kept.note(paths, WEB, (DATA,))
    place = Path(paths.volumes_of(WEB))
    (known,) = json.loads(place.read_text())
    place.write_text(json.dumps([{**known, "novelty": [1]}, {"kind": "odd", "target": "/x"}, 3]))
    assert DATA in kept.of(paths, WEB)


@pytest.mark.parametrize("text", ["", "{", "{}", "null", "[[1]]", '["x"]'])
def test_what_makes_no_sense_tells_nothing(paths: Paths, text: str) -> None:
    Path(paths.volumes_of(WEB)).write_text(text)
    assert kept.of(paths, WEB) == ()


def test_one_without_a_name_goes_with_its_container(paths: Paths) -> None:
    store = VolumeStore(paths.volumes)
    store.use(VolumeRecord(name="data", anonymous=True), paths.container_state(WEB))
    kept.note(paths, WEB, (DATA,))
    kept.remove_own(paths, IsolatorFlags(), WEB)
    assert store.all() == []
    kept.remove_own(paths, IsolatorFlags(), WEB)


def test_one_whose_driver_does_not_answer_stays_to_be_seen(paths: Paths) -> None:
    store = VolumeStore(paths.volumes)
    store.use(VolumeRecord(name="data", driver="gone", anonymous=True), paths.container_state(WEB))
    kept.note(paths, WEB, (DATA,))
    kept.remove_own(paths, IsolatorFlags(docker_plugins_dirs=()), WEB)
    assert [each.name for each in store.all()] == ["data"] and store.users("data") == []
