"""Launches that follow a template: each has its own of everything, and what has changed is seen."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path
from typing import Any

import pytest

from launcher import template
from launcher.base import LaunchRequest
from launcher.child import Child
from launcher.data import replace
from launcher.errors import LaunchFailed
from launcher.launch_info import FileOperation, LaunchInfo, Mount
from launcher.linux import LinuxLauncher
from launcher.stdio import Inherit
from tests.launcher.images import make_image, overlay
from tests.launcher.support import ALL_NEW, PROC, EngineLauncher

pytestmark = pytest.mark.requires("root", "overlay", "busybox")

FIRST, SECOND = "0123456789ab", "somebodys-db"
PLACEHOLDER = "cd0a9f2e7b31"

Run = Callable[..., str]


@pytest.fixture(params=[LinuxLauncher, EngineLauncher])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Run]:
    """Run a script in a container of this name, whose root filesystem is its own; what it writes."""
    make_image(tmp_path / "image")
    launcher = request.param()
    placeholders: dict[str, LaunchRequest] = {}

    def request_of(name: str, script: str, stdio: Inherit, more: dict[str, Any]) -> LaunchRequest:
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
        own = {field: value(name) if callable(value) else value for field, value in more.items()}
        return LaunchRequest(
            container_id=name,
            info=LaunchInfo(argv=("sh", "-c", script), **{**fields, **own}),
            stdio=stdio,
            exit_status_path=str(tmp_path / f"{name}.status"),
        )

    def run(name: str, script: str, **more: Any) -> str:
        reader, writer = os.pipe()
        with open(os.devnull) as null, os.fdopen(reader) as output:
            try:
                stdio = Inherit(null.fileno(), writer, writer)
                kind = repr((script, more))
                if kind not in placeholders:
                    placeholders[kind] = request_of(PLACEHOLDER, script, stdio, more)
                    shutil.rmtree(tmp_path / PLACEHOLDER)  # which nobody needs
                asked = request_of(name, script, stdio, more)
                task = launcher.launch(replace(asked, like=placeholders[kind]))
            finally:
                os.close(writer)
            try:
                task.release()
                task.exit_status()
            finally:
                task.destroy()
            assert Path(asked.exit_status_path).exists()
            return output.read()

    yield run
    launcher.close()


@pytest.fixture
def followed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the containers that were launched by a template that was there."""
    names: list[str] = []
    find = template.Templates.find

    def noting(
        kept: template.Templates, key: Hashable, written: Child, opened: contextlib.ExitStack
    ) -> template.Template | None:
        found = find(kept, key, written, opened)
        if found:
            names.append(str(written.info.hostname))
        return found

    monkeypatch.setattr(template.Templates, "find", noting)
    return names


def test_each_has_its_own_name_files_and_environment(run: Run, followed: list[str]) -> None:
    for name in (FIRST, SECOND):
        assert run(name, "hostname; cat /name; echo; echo $NAME").split() == [name] * 3
    assert followed == [SECOND]


def test_what_is_asked_beside_the_name_makes_another(run: Run, followed: list[str]) -> None:
    assert "ro" not in run(FIRST, "touch /new || echo ro")
    assert "ro" in run(SECOND, "touch /new || echo ro", readonly_rootfs=True)
    assert followed == []


def test_a_name_that_is_elsewhere_too_is_put_only_where_it_belongs(run: Run, followed: list[str]) -> None:
    script = "hostname; cat /name; echo; echo $PATH"
    run(FIRST, script)
    assert run("sh-hostname-", script).split() == [*["sh-hostname-"] * 2, "/bin"]
    assert followed == ["sh-hostname-"]


def test_a_longer_name_has_a_program_of_its_own(run: Run, followed: list[str]) -> None:
    for name in (FIRST, f"{FIRST}cd"):
        assert run(name, "hostname").split() == [name]
    assert followed == []


def test_what_the_image_has_by_now_is_asked_for_again(run: Run, followed: list[str], tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    mounts = (PROC, Mount(target="/place", fstype="bind", source=str(source)))

    def itself(name: str) -> tuple[Mount, ...]:
        """The image, no layer of it; on a mount point that the overlay has left."""
        target = str(tmp_path / name / "rootfs")
        return (Mount(target=target, fstype="bind", source=str(tmp_path / "image")),)

    run(FIRST, "true", mounts=mounts, rootfs_mounts=itself)
    assert (tmp_path / "image" / "place").is_dir()  # made as it was missing
    run(SECOND, "true", mounts=mounts, rootfs_mounts=itself)
    assert followed == []
    run(SECOND[::-1], "true", mounts=mounts, rootfs_mounts=itself)
    assert followed == [SECOND[::-1]]


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
    def cgroups(name: str) -> tuple[str, ...]:
        return (str(tmp_path / f"ct-{name}"),)

    for name in (FIRST, SECOND):
        with pytest.raises(LaunchFailed, match=cgroups(name)[0]):
            run(name, "true", cgroups_v1=cgroups)
    assert followed == [SECOND]
