"""Sandboxes by virtual paths: whatever the task puts there, nothing else of the host is seen."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from containerizer.api.errors import ApiError
from containerizer.api.files import VirtualFiles
from containerizer.paths import Paths
from launcher.container_id import ContainerId


@pytest.fixture
def files(tmp_path: Path) -> VirtualFiles:
    (tmp_path / "secret").write_text("of the host")
    paths = Paths.of(str(tmp_path / "root"), str(tmp_path / "state"))
    sandbox = Path(paths.sandbox(ContainerId("web")))
    (sandbox / "logs").mkdir(parents=True)
    (sandbox / "logs" / "out").write_bytes(b"0123456789")
    (sandbox / "absolute").symlink_to(tmp_path / "secret")
    (sandbox / "upwards").symlink_to("../../../secret")
    (sandbox / "inside").symlink_to("/logs/out")
    os.mkfifo(sandbox / "fifo")
    return VirtualFiles(paths)


def test_a_directory_is_listed_by_name(files: VirtualFiles) -> None:
    listed = files.browse("/containers/web/logs")
    assert [(info.path, info.status.st_size) for info in listed] == [("/containers/web/logs/out", 10)]
    everything = {info.path: stat.filemode(info.status.st_mode) for info in files.browse("/containers/web")}
    assert everything["/containers/web/fifo"].startswith("p")


def test_a_file_is_read_in_pieces(files: VirtualFiles) -> None:
    assert files.read("/containers/web/logs/out", 8, None) == (10, b"89")
    assert files.read("/containers/web/logs/out", 2, 3) == (10, b"234")
    assert files.read("/containers/web/logs/out", 1 << 70, None) == (10, b"")
    assert files.read("/containers/web/inside", 0, None) == (10, b"0123456789")


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
def test_nothing_else_is_read(files: VirtualFiles, path: str) -> None:
    with pytest.raises(ApiError):
        files.read(path, 0, None)
