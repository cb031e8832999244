"""Virtual paths: what they lead to, and what they never do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from containerizer.api.errors import BadRequest, NotFound
from containerizer.api.files import MOST, VirtualFiles, container_of
from containerizer.paths import Paths
from launcher.container_id import ContainerId


@pytest.fixture
def sandbox(tmp_path: Path) -> Path:
    """Of the container `box`, which has been at work there."""
    sandbox = Path(paths(tmp_path).sandbox(ContainerId("box")))
    (sandbox / "inner").mkdir(parents=True)
    (sandbox / "inner" / "file").write_bytes(bytes(range(256)) * 1024)
    (sandbox / "link").symlink_to("inner/file")
    (sandbox / "out").symlink_to("/etc/passwd")
    (sandbox / "up").symlink_to("../../..")
    (sandbox / "containers" / "nested").mkdir(parents=True)
    (sandbox / "containers" / "nested" / "own").write_text("of another container")
    (sandbox / "over").symlink_to("containers/nested")
    os.mkfifo(sandbox / "fifo")
    (tmp_path / "log").write_text("said\n")
    return sandbox


def paths(tmp_path: Path) -> Paths:
    return Paths.of(str(tmp_path / "root"), str(tmp_path / "state"))


@pytest.fixture
def files(tmp_path: Path, sandbox: Path) -> VirtualFiles:
    return VirtualFiles(paths(tmp_path), log=str(tmp_path / "log"))


def test_a_directory_and_a_file_are_listed(files: VirtualFiles) -> None:
    listed = [found.path for found in files.browse("/containers/box/")]
    assert listed == [f"/containers/box/{name}" for name in ("fifo", "inner", "link", "out", "over", "up")]
    (found,) = files.browse("/containers/box/inner/file")
    assert (found.path, found.status.st_size) == ("/containers/box/inner/file", 256 * 1024)


def test_a_file_is_read_in_pieces(files: VirtualFiles) -> None:
    path, content = "/containers/box/inner/file", bytes(range(256)) * 1024
    assert files.read(path, 0, None) == (len(content), content[:MOST])
    assert files.read(path, 100, 1 << 40) == (len(content), content[100 : 100 + MOST])
    assert files.read(path, 100, 3) == (len(content), content[100:103])
    assert files.read(path, len(content), 3) == (len(content), b"")
    assert files.read(path, 1 << 63, 3) == (len(content), b"")
    assert files.read(path, None, None) == (len(content), b"")
    assert files.read("/containers/box/link", 0, 2) == (len(content), content[:2])


def test_the_agents_log(files: VirtualFiles) -> None:
    assert files.read("/slave/log", 0, None) == (5, b"said\n")


@pytest.mark.parametrize(
    "path",
    [
        *(
            "",
            "/",
            "/containers",
            "/containers/",
            "/containers/other",
            "/containers/../x",
            "/containers/a/b/c",
        ),
        *("/etc/passwd", "/slave/log/x", "/slave/logs", "/containers/box/out", "/containers/box/none"),
        *("/containers/box/up/log", "/containers/box/../../log", "/containers/box/inner/file/x"),
        *("/containers/box/containers/nested/own", "/containers/box/over/own"),
        "/containers/box/fifo",  # nobody writes there: to open it would block
    ],
)
def test_paths_that_lead_nowhere(files: VirtualFiles, path: str) -> None:
    with pytest.raises(NotFound):
        files.read(path, 0, None)


@pytest.mark.parametrize("path", ["/containers/box", "/containers/box/inner", "/containers/box/\0"])
def test_what_is_not_read(files: VirtualFiles, path: str) -> None:
    with pytest.raises(BadRequest):
        files.read(path, 0, None)


def test_a_nested_containers_are_at_its_own_id(files: VirtualFiles) -> None:
    """By which access is ruled: who may read a sandbox may not read all that others have in it."""
    assert files.read("/containers/box.nested/own", 0, 3) == (20, b"of ")
    for path in ("/containers/box/containers", "/containers/box/over"):
        with pytest.raises(NotFound):
            files.browse(path)


@pytest.mark.parametrize(
    ("path", "name"),
    [("/containers/a.b/c", "a.b"), ("/containers/a", "a"), ("/slave/log", None), ("/containers", None)],
)
def test_whose_a_path_is(path: str, name: str | None) -> None:
    assert container_of(path) == (name and ContainerId.parse(name))
