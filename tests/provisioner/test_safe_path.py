from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.kernel.safe_path import open_beneath


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "outside").write_text("host")
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "outside").write_text("image")
    (root / "up").symlink_to("../../../..")
    (root / "absolute").symlink_to("/outside")
    fd = os.open(root, os.O_PATH)
    yield fd
    os.close(fd)


def read(fd: int) -> str:
    with open(fd) as file:
        return file.read()


@pytest.mark.parametrize(
    "path", ["outside", "/outside", "../outside", "up/outside", "absolute", "etc/../../outside"]
)
def test_every_path_stays_beneath_the_root(inside: int, path: str) -> None:
    assert read(open_beneath(inside, path, os.O_RDONLY)) == "image"


def test_links_are_refused_on_demand(inside: int) -> None:
    with pytest.raises(OSError, match="absolute") as caught:
        open_beneath(inside, "absolute", os.O_RDONLY, follow_symlinks=False)
    assert caught.value.errno == errno.ELOOP


def test_null_byte_does_not_cut_the_path(inside: int) -> None:
    with pytest.raises(OSError, match="null byte"):
        open_beneath(inside, b"outside\0x", os.O_RDONLY)


def test_magic_links_are_refused(tmp_path: Path) -> None:
    fd = os.open("/proc/self", os.O_PATH)
    try:
        with pytest.raises(OSError, match="root") as caught:
            open_beneath(fd, "root/etc", os.O_RDONLY)
        assert caught.value.errno == errno.ELOOP
    finally:
        os.close(fd)


def test_file_is_created_with_its_mode_and_close_on_exec(inside: int) -> None:
    fd = open_beneath(inside, "etc/new", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        assert os.fstat(fd).st_mode & 0o777 == 0o600
        assert not os.get_inheritable(fd)
    finally:
        os.close(fd)
