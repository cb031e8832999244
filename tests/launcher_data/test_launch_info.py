"""LaunchInfo crosses to the supervisor as JSON, and arrives as it was."""

from __future__ import annotations

import json

import pytest
from hypothesis import given

from launcher.launch_info import FIELDS, Capabilities, FileOperation, LaunchInfo, Merge, Mount
from tests.launcher_data import strategies


def through_json(info: LaunchInfo) -> LaunchInfo:
    return LaunchInfo.from_json(json.loads(json.dumps(info.to_json())))


def test_every_field_has_a_strategy_here() -> None:
    assert set(strategies.FIELDS) == set(FIELDS)


@given(strategies.launch_infos)
def test_json_and_back_changes_nothing(info: LaunchInfo) -> None:
    assert through_json(info) == info


@given(strategies.launch_infos)
def test_what_was_not_asked_is_not_sent(info: LaunchInfo) -> None:
    assert set(info.to_json()) == set(info.asked())


def test_nothing_asked_is_nothing() -> None:
    assert LaunchInfo().asked() == {}
    assert LaunchInfo().to_json() == {}
    assert LaunchInfo.from_json({}) == LaunchInfo()


@pytest.mark.parametrize(
    "info", [LaunchInfo(no_new_privileges=False), LaunchInfo(argv=()), LaunchInfo(user="")]
)
def test_false_and_empty_are_asked_unlike_none(info: LaunchInfo) -> None:
    assert info.asked()
    assert through_json(info) == info


def test_the_nested_values_come_back_as_their_types() -> None:
    info = LaunchInfo(
        mounts=(Mount(target="/proc", fstype="proc", flags=("nosuid",), options=(("hidepid", "2"),)),),
        file_operations=(FileOperation(kind="symlink", path="/dev/fd", content="/proc/self/fd"),),
        capabilities=Capabilities(bounding=("CAP_CHOWN",)),
    )
    assert through_json(info) == info
    assert hash(through_json(info).mounts) == hash(info.mounts)  # tuples all the way, not lists


def test_no_capability_at_all_is_not_the_launchers_own() -> None:
    """None keeps what the launcher has; five empty sets take everything away."""
    none_left = LaunchInfo(capabilities=Capabilities())
    assert through_json(none_left).capabilities == Capabilities()
    assert through_json(none_left) != LaunchInfo()


def test_an_unknown_field_is_an_error() -> None:
    with pytest.raises(TypeError, match="seccomp_of_tomorrow"):
        LaunchInfo.from_json({"seccomp_of_tomorrow": {}})


def test_a_launch_info_cannot_be_changed() -> None:
    with pytest.raises(AttributeError, match="immutable"):
        LaunchInfo().user = "root"  # type: ignore[misc]


def test_every_field_says_how_it_merges() -> None:
    assert all(isinstance(field.metadata["merge"], Merge) for field in FIELDS.values())
