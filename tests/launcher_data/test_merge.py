"""The merge rules: what is joined, what is a conflict, and who gave what."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from launcher.errors import InvalidRequest
from launcher.launch_info import FIELDS, LaunchInfo, Merge, Mount
from launcher.merge import MergeConflict, merge
from tests.launcher_data import strategies

TMP = Mount(target="/tmp", fstype="tmpfs")
BOUND = Mount(target="/tmp", fstype="bind", source="/srv")

OWNED = sorted(name for name, field in FIELDS.items() if field.metadata["merge"] is Merge.OWNER)
APPENDED = sorted(name for name, field in FIELDS.items() if field.metadata["merge"] is Merge.APPEND)


def asks(field: str, value: Any) -> LaunchInfo:
    return LaunchInfo(**{field: value})


def test_nothing_merges_to_nothing() -> None:
    merged = merge([("first", LaunchInfo()), ("second", LaunchInfo())])
    assert (merged.info, merged.owners) == (LaunchInfo(), {})


@given(strategies.launch_infos)
def test_one_contribution_comes_out_as_it_went_in(info: LaunchInfo) -> None:
    assert merge([("only", info)]).info == info


@given(strategies.launch_infos)
def test_the_same_twice_is_no_conflict_and_the_first_owns_it(info: LaunchInfo) -> None:
    merged = merge([("first", info), ("second", info)])
    assert merged.info == info
    assert set(merged.owners.values()) <= {"first"}


@given(strategies.launch_infos)
def test_the_order_does_not_matter_where_only_one_asks(info: LaunchInfo) -> None:
    nothing = LaunchInfo()
    assert merge([("a", info), ("b", nothing)]).info == merge([("b", nothing), ("a", info)]).info


@given(strategies.launch_infos, strategies.launch_infos)
def test_two_contributions_lose_nothing_or_name_both(first: LaunchInfo, second: LaunchInfo) -> None:
    try:
        merged = merge([("isolators/first", first), ("isolators/second", second)]).info
    except MergeConflict as conflict:
        assert "isolators/first" in conflict.message
        assert "isolators/second" in conflict.message
        return
    for name in FIELDS:
        for contribution in (first, second):
            assert _contains(getattr(merged, name), getattr(contribution, name)), name


def _contains(merged: object, part: object) -> bool:
    if isinstance(part, dict):
        assert isinstance(merged, dict)
        return part.items() <= merged.items()
    if isinstance(part, tuple):
        assert isinstance(merged, tuple)
        return set(part) <= set(merged)
    return part is None or merged == part


@pytest.mark.parametrize("name", OWNED)
@given(data=st.data())
def test_two_owners_are_a_conflict_that_names_both_and_the_field(name: str, data: st.DataObject) -> None:
    values = strategies.FIELDS[name].filter(lambda value: value is not None)
    one, other = data.draw(values), data.draw(values)
    assume(one != other)
    with pytest.raises(MergeConflict) as raised:
        merge([("docker/runtime", asks(name, one)), ("linux/nnp", asks(name, other))])
    assert f"isolators docker/runtime and linux/nnp both set {name}: " in raised.value.message
    assert repr(one) in raised.value.message
    assert repr(other) in raised.value.message


@pytest.mark.parametrize("name", sorted(set(APPENDED) - {"rootfs_mounts", "file_operations"}))
def test_sequences_are_joined_in_order_and_equal_items_kept_once(name: str) -> None:
    merged = merge([("a", asks(name, ("x", "y"))), ("b", asks(name, ("y", "z")))])
    assert getattr(merged.info, name) == ("x", "y", "z")
    assert merged.owners == {f"{name}[x]": "a", f"{name}[y]": "a", f"{name}[z]": "b"}


def test_mappings_are_joined() -> None:
    merged = merge(
        [
            ("a", LaunchInfo(environment={"A": "1", "B": "2"})),
            ("b", LaunchInfo(environment={"B": "2", "C": "3"})),
        ]
    )
    assert merged.info.environment == {"A": "1", "B": "2", "C": "3"}
    assert merged.owners["environment[B]"] == "a"
    assert merged.owners["environment[C]"] == "b"


def test_two_values_for_one_key_are_a_conflict() -> None:
    pid = LaunchInfo(namespaces={"pid": "new"})
    joined = LaunchInfo(namespaces={"pid": "/proc/7/ns/pid"})
    with pytest.raises(MergeConflict, match=r"isolators a and b both set namespaces\[pid\]"):
        merge([("a", pid), ("b", joined)])


def test_mounts_are_joined_in_order() -> None:
    proc = Mount(target="/proc", fstype="proc")
    merged = merge([("a", LaunchInfo(mounts=(proc, TMP))), ("b", LaunchInfo(mounts=(TMP,)))])
    assert merged.info.mounts == (proc, TMP)
    assert merged.owners == {"mounts[/proc]": "a", "mounts[/tmp]": "a"}


def test_two_mounts_on_one_target_are_a_conflict() -> None:
    with pytest.raises(MergeConflict, match=r"isolators a and b both set mounts\[/tmp\]") as raised:
        merge([("a", LaunchInfo(mounts=(TMP,))), ("b", LaunchInfo(mounts=(BOUND,)))])
    assert raised.value.hint == "load only one of them (--isolation)"


def test_a_conflict_is_the_requests_fault() -> None:
    assert issubclass(MergeConflict, InvalidRequest)


def test_merging_changes_no_contribution() -> None:
    first = LaunchInfo(environment={"A": "1"}, mounts=(TMP,))
    merge([("a", first), ("b", LaunchInfo(environment={"B": "2"}))])
    assert first == LaunchInfo(environment={"A": "1"}, mounts=(TMP,))
