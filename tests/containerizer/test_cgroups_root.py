"""Which cgroup the containers of a state directory are in."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from containerizer.cgroups_root import own, settled
from containerizer.paths import DEFAULT_STATE, Paths
from isolators.isolator import IsolatorFlags
from launcher.errors import InvalidRequest


def root_of(directory: Path, state: str, asked: str | None = None) -> str:
    flags = IsolatorFlags(state=str(directory / "host"))
    if asked is not None:
        flags = IsolatorFlags(state=str(directory / "host"), cgroups_root=asked)
    return settled(flags, Paths.of(str(directory / "root"), str(directory / state))).cgroups_root


def test_each_state_directory_has_its_own(tmp_path: Path) -> None:
    assert own(DEFAULT_STATE) == "containerizer"
    roots = {root_of(tmp_path, state) for state in ("a", "b", "c")}
    assert len(roots) == 3
    assert all(root.startswith("containerizer-") and "/" not in root for root in roots)
    assert roots == {root_of(tmp_path, state) for state in ("a", "b", "c")}
    assert list(tmp_path.iterdir()) == []


def test_it_is_the_same_by_another_path(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    os.symlink("a", tmp_path / "link")
    assert root_of(tmp_path, "link") == root_of(tmp_path, "a")


def test_one_that_was_chosen_is_known_to_all(tmp_path: Path) -> None:
    assert root_of(tmp_path, "a", "of/tasks") == "of/tasks"
    assert root_of(tmp_path, "a") == "of/tasks"
    assert root_of(tmp_path, "a", "of/tasks") == "of/tasks"
    assert root_of(tmp_path, "a", "other") == "other"
    assert root_of(tmp_path, "b", "of/tasks") == "of/tasks"


def test_two_cannot_have_the_same(tmp_path: Path) -> None:
    root_of(tmp_path, "a", "tasks")
    with pytest.raises(InvalidRequest, match=f"the cgroups root tasks is that of {tmp_path}/a"):
        root_of(tmp_path, "b", "tasks")
    (tmp_path / "a" / "cgroups_root").unlink()
    (tmp_path / "a").rmdir()
    assert root_of(tmp_path, "b", "tasks") == "tasks"


def test_it_cannot_be_changed_under_containers(tmp_path: Path) -> None:
    (tmp_path / "a" / "containers" / "web").mkdir(parents=True)
    with pytest.raises(InvalidRequest, match=r"are in the cgroups root containerizer-[0-9a-f]{16}"):
        root_of(tmp_path, "a", "tasks")


@pytest.mark.parametrize("root", ["a!b"])
def test_what_is_no_name_is_refused(tmp_path: Path, root: str) -> None:
    with pytest.raises(InvalidRequest, match="invalid cgroups root"):
        root_of(tmp_path, "a", root)


def test_who_is_refused_another_keeps_the_one_it_has(tmp_path: Path) -> None:
    assert root_of(tmp_path, "a", "x") == "x"
    assert root_of(tmp_path, "b", "y") == "y"
    with pytest.raises(InvalidRequest, match="the cgroups root y is that of"):
        root_of(tmp_path, "a", "y")
    with pytest.raises(InvalidRequest, match=f"the cgroups root x is that of {tmp_path}/a"):
        root_of(tmp_path, "c", "x")
    assert root_of(tmp_path, "a") == "x"


def test_after_a_reboot_it_is_taken_again(tmp_path: Path) -> None:
    """The state directory may be on a disk, and what is taken on the host is not."""
    root_of(tmp_path, "a", "x")
    shutil.rmtree(tmp_path / "host")
    assert root_of(tmp_path, "a") == "x"
    with pytest.raises(InvalidRequest, match="the cgroups root x is that of"):
        root_of(tmp_path, "b", "x")
    shutil.rmtree(tmp_path / "host")
    root_of(tmp_path, "b", "x")
    with pytest.raises(InvalidRequest, match=f"the cgroups root x is that of {tmp_path}/b"):
        root_of(tmp_path, "a")
