"""Sandboxes by virtual paths: whatever the task puts there, nothing else of the host is seen."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from containerizer.agent import files
from containerizer.paths import Paths
from launcher.container_id import ContainerId
from launcher.errors import InvalidRequest


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    (tmp_path / "secret").write_text("of the host")
    paths = Paths.of(str(tmp_path / "root"), str(tmp_path / "state"))
    sandbox = Path(paths.sandbox(ContainerId("web")))
    (sandbox / "logs").mkdir(parents=True)
    (sandbox / "logs" / "out").write_bytes(b"0123456789")
    (sandbox / "absolute").symlink_to(tmp_path / "secret")
    (sandbox / "upwards").symlink_to("../../../secret")
    (sandbox / "inside").symlink_to("/logs/out")
    os.mkfifo(sandbox / "fifo")
    return paths


def test_a_directory_is_listed_by_name(paths: Paths) -> None:
    listed = files.browse(paths, "/containers/web/logs")
    assert [(info.path, info.size) for info in listed] == [("/containers/web/logs/out", 10)]
    everything = {info.path: stat.filemode(info.mode) for info in files.browse(paths, "/containers/web")}
    assert everything["/containers/web/fifo"].startswith("p")


def test_a_file_is_read_in_pieces(paths: Paths) -> None:
    assert files.read(paths, "/containers/web/logs/out", 8) == (10, b"89")
    assert files.read(paths, "/containers/web/logs/out", 2, 3) == (10, b"234")
    assert files.read(paths, "/containers/web/logs/out", 1 << 70) == (10, b"")
    assert files.read(paths, "/containers/web/inside") == (10, b"0123456789")


@pytest.mark.parametrize(
    "path",
    [
        "/containers/web/absolute",
        "/containers/web/upwards",
        "/containers/web/../../secret",
        "/containers/web/logs/../../../../secret",
        "/containers/../secret",
        "/containers//secret",
        "/containers/db/secret",
        "/etc/passwd",
        "",
        "/containers/web/fifo",
        "/containers/web/logs",
        "/containers/web/a\0b",
        "/containers/web/a\nb",
        "/containers/we b/x",
    ],
)
def test_nothing_else_is_read(paths: Paths, path: str) -> None:
    with pytest.raises((files.NoSuchFile, InvalidRequest)):
        files.read(paths, path)


def test_a_numbers_sign_matters(paths: Paths) -> None:
    with pytest.raises(InvalidRequest):
        files.read(paths, "/containers/web/logs/out", -2)
    with pytest.raises(InvalidRequest):
        files.read(paths, "/containers/web/logs/out", 0, -1)
