"""Putting another name into data: what is made for one container, as another one gets it."""

from __future__ import annotations

from typing import Any

import pytest

from launcher.launch_info import FileOperation, LaunchInfo, Mount
from launcher.renaming import renaming

FIRST, SECOND = "0123456789ab", "ba9876543210"


def info_of(name: str) -> LaunchInfo:
    return LaunchInfo(
        hostname=name,
        environment={"HOSTNAME": name, "PATH": "/bin"},
        cgroups_v1=(f"/cpu/ct-{name}", "/memory/shared"),
        mounts=(
            Mount(target="/proc", fstype="proc"),
            Mount(target="/v", fstype="bind", source=f"/{name}/{name}"),
        ),
        file_operations=(FileOperation(kind="write", path="/etc/hostname", content=f"{name}\n"),),
    )


@pytest.mark.parametrize("value", [f"{FIRST}-{FIRST}", info_of(FIRST), (1, (FIRST,)), {"a": {"b": FIRST}}])
def test_the_name_is_replaced_wherever_it_is(value: Any) -> None:
    renamed = renaming(value, FIRST)
    assert renamed is not None
    assert repr(renamed(SECOND)) == repr(value).replace(FIRST, SECOND)
    assert repr(renamed(FIRST)) == repr(value), "what was made before is as it was"


def test_a_renamed_record_is_one_that_was_made_so() -> None:
    renamed = renaming(info_of(FIRST), FIRST)
    assert renamed is not None
    assert renamed(SECOND) == info_of(SECOND)


@pytest.mark.parametrize("value", ["", None, 7, LaunchInfo(), (), {"a": SECOND}])
def test_what_has_the_name_nowhere_needs_none(value: Any) -> None:
    assert renaming(value, FIRST) is None


def test_what_has_no_name_is_shared() -> None:
    info = info_of(FIRST)
    renamed = renaming(info, FIRST)
    assert renamed is not None
    assert renamed(SECOND).mounts[0] is info.mounts[0]
