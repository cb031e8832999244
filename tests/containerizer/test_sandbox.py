"""The end of a container's directories: who is killed meanwhile leaves one that others find."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from containerizer import record, sandbox
from containerizer.paths import Paths
from containerizer.record import ContainerRecord
from launcher.container_id import ContainerId

WEB = ContainerId("web")


class Killed(BaseException):
    """As by SIGKILL: nothing is done any more."""


def test_the_record_is_there_until_all_else_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = Paths.of(str(tmp_path / "root"), str(tmp_path / "state"))
    record.reserve(paths, ContainerRecord(container_id="web", image="busybox"))
    directory = Path(paths.container_state(WEB))
    (directory / "limits.json").write_text("{}")
    (directory / "containers" / "db").mkdir(parents=True)
    really = os.unlink
    gone: list[str] = []

    def unlink(path: str, **options: object) -> None:
        if len(gone) == 1:
            raise Killed
        really(path, **options)  # type: ignore[arg-type]
        gone.append(path)

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(os, "unlink", unlink)
        sandbox.delete_state(str(directory))
    assert [Path(path).name for path in gone] == ["limits.json"]
    assert record.load(paths, WEB).image == "busybox", "others find it, and remove it"
    sandbox.delete_state(str(directory))
    assert not directory.exists()
    sandbox.delete_state(str(directory))
