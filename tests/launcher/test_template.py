"""Launches that follow a template: each has its own of everything, and what has changed is seen."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from launcher import linux, template
from launcher.base import LaunchRequest
from launcher.errors import LaunchFailed
from launcher.launch_info import FileOperation, LaunchInfo, Mount
from launcher.linux import LinuxLauncher
from launcher.stdio import Inherit
from tests.launcher.images import make_image, overlay
from tests.launcher.support import ALL_NEW, PROC, EngineLauncher

pytestmark = pytest.mark.requires("root", "overlay", "busybox")

FIRST, SECOND = "0123456789ab", "ba9876543210"

Run = Callable[..., str]


@pytest.fixture(params=[LinuxLauncher, EngineLauncher])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Run]:
    """Run a script in a container of this name, whose root filesystem is its own; what it writes."""
    make_image(tmp_path / "image")
    launcher = request.param()

    def run(name: str, script: str, **more: Any) -> str:
        mount = overlay(tmp_path / "image", tmp_path / name)
        fields: dict[str, Any] = {
            "namespaces": ALL_NEW,
            "environment": {"PATH": "/bin", "NAME": name},
            "rootfs": mount.target,
            "rootfs_mounts": (mount,),
            "mounts": (PROC,),
            "hostname": name,
            "file_operations": (FileOperation(kind="write", path="/name", content=name),),
        }
        info = LaunchInfo(argv=("sh", "-c", script), **{**fields, **more})
        reader, writer = os.pipe()
        with open(os.devnull) as null, os.fdopen(reader) as output:
            try:
                stdio = Inherit(null.fileno(), writer, writer)
                path = str(tmp_path / f"{name}.status")
                asked = LaunchRequest(container_id=name, info=info, stdio=stdio, exit_status_path=path)
                task = launcher.launch(asked)
            finally:
                os.close(writer)
            try:
                task.release()
                task.exit_status()
            finally:
                task.destroy()
            assert Path(path).exists()
            return output.read()

    yield run
    launcher.close()


@pytest.fixture
def followed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the containers that were launched by a template."""
    names: list[str] = []
    follow = linux._follow

    def noting(kept: template.Template, written: Any, name: str) -> tuple[str, str]:
        names.append(name)
        return follow(kept, written, name)

    monkeypatch.setattr(linux, "_follow", noting)
    return names


def test_each_has_its_own_name_files_and_environment(run: Run, followed: list[str]) -> None:
    for name in (FIRST, SECOND):
        assert run(name, "hostname; cat /name; echo; echo $NAME").split() == [name] * 3
    assert followed == [SECOND]


def test_each_has_its_own_command(run: Run, followed: list[str]) -> None:
    assert run(FIRST, "echo one") == "one\n"
    assert run(SECOND, "echo two") == "two\n"
    assert followed == [SECOND]


def test_what_is_asked_beside_the_name_makes_another(run: Run, followed: list[str]) -> None:
    assert "ro" not in run(FIRST, "touch /new || echo ro")
    assert "ro" in run(SECOND, "touch /new || echo ro", readonly_rootfs=True)
    assert followed == []


def test_a_name_that_somebody_has_chosen_is_put_nowhere(run: Run, followed: list[str]) -> None:
    run("proc", "true")
    run("name", "true")
    assert followed == []


def test_what_the_image_has_by_now_is_asked_for_again(run: Run, followed: list[str], tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    mounts = (PROC, Mount(target="/place", fstype="bind", source=str(source)))
    run(FIRST, "true", mounts=mounts)
    (tmp_path / "image" / "place").mkdir()
    run(SECOND, "true", mounts=mounts)
    assert followed == []


def test_what_the_host_has_by_now_is_asked_for_again(run: Run, followed: list[str], tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    mounts = (PROC, Mount(target="/place", fstype="bind", source=str(source)))
    assert run(FIRST, "test -d /place && echo directory", mounts=mounts) == "directory\n"
    source.rmdir()
    source.touch()
    assert run(SECOND, "test -f /place && echo file", mounts=mounts) == "file\n"
    assert followed == []


def test_a_failure_names_what_is_the_containers_own(run: Run, followed: list[str], tmp_path: Path) -> None:
    for name in (FIRST, SECOND):
        cgroup = str(tmp_path / f"ct-{name}")
        with pytest.raises(LaunchFailed, match=cgroup):
            run(name, "true", cgroups_v1=(cgroup,))
    assert followed == [SECOND]
