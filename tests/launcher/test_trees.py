"""Volumes filled from an image, and the removal of what a task has made."""

from __future__ import annotations

import errno
import itertools
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from launcher.copy_tree import copy_tree
from launcher.launch_info import Mount
from launcher.remove_tree import remove_tree
from tests.launcher.images import SECRET, make_image, overlay, snapshot
from tests.launcher.support import Launches


def make_deep(top: Path, levels: int) -> None:
    """Directories in one another, a file in each hundredth; deeper than any path is long."""
    directory = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    for level in range(levels):
        if level % 100 == 0:
            os.close(os.open("file", os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=directory))
        os.mkdir("d", dir_fd=directory)
        parent, directory = directory, os.open("d", os.O_RDONLY | os.O_DIRECTORY, dir_fd=directory)
        os.close(parent)
    os.close(directory)


# remove_tree -------------------------------------------------------------------------------------


def test_a_missing_tree_is_fine(tmp_path: Path) -> None:
    remove_tree(str(tmp_path / "missing"))


@pytest.mark.parametrize("levels", [0, 1, 63, 64, 65, 66, 129, 3000])
def test_no_tree_is_too_deep(tmp_path: Path, levels: int) -> None:
    (tmp_path / "tree").mkdir()
    make_deep(tmp_path / "tree", levels)
    (tmp_path / "tree" / "more").touch()
    remove_tree(str(tmp_path / "tree"))
    assert os.listdir(tmp_path) == []


def test_several_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    """As pulls sweep what a killed one has left: each finds that another has moved what it had seen."""
    together = threading.Barrier(4)

    def remove(tree: Path) -> None:
        together.wait(20)
        remove_tree(str(tree))

    with ThreadPoolExecutor(4) as pool:
        for number in range(20):
            tree = tmp_path / str(number)
            for first, second in itertools.product("abcdef", repeat=2):
                (tree / first / second / "c").mkdir(parents=True)
                (tree / first / second / "file").touch()
            for future in [pool.submit(remove, tree) for _ in range(4)]:
                future.result(60)
    assert os.listdir(tmp_path) == []


def test_links_are_removed_and_not_followed(tmp_path: Path) -> None:
    tree, outside = tmp_path / "tree", tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "deep" / "file").write_text(SECRET)
    (tree / "sub").mkdir(parents=True)
    (tree / "link").symlink_to(outside)
    (tree / "sub" / "link").symlink_to(outside / "deep")
    (tree / "sub" / "dangling").symlink_to("nowhere")
    os.mkfifo(tree / "fifo")
    before = snapshot(outside)
    remove_tree(str(tree))
    assert (snapshot(outside), os.listdir(tmp_path)) == (before, ["outside"])


def test_what_is_no_directory_is_removed_itself(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").touch()
    (tmp_path / "link").symlink_to("outside")
    (tmp_path / "file").touch()
    for name in ("link", "file"):
        remove_tree(str(tmp_path / name))
    assert (os.listdir(tmp_path), os.listdir(tmp_path / "outside")) == (["outside"], ["file"])


@pytest.mark.parametrize("directory", [False, True])
def test_names_that_a_task_has_planted_do_no_harm(tmp_path: Path, directory: bool) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    make_deep(tree, 70)
    for number in range(3):
        planted = tree / f".too-deep-{number}"
        planted.touch() if not directory else (planted / "full").mkdir(parents=True)
    remove_tree(str(tree))
    assert not tree.exists()


# copy_tree ---------------------------------------------------------------------------------------


def copy(source: Path, target: Path) -> None:
    descriptors = [os.open(path, os.O_PATH) for path in (source, target)]
    try:
        copy_tree(*descriptors)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    (tmp_path / "volume").mkdir()
    return tmp_path / "volume"


@pytest.mark.requires("root")
def test_a_copy_is_faithful_but_for_what_is_no_data(tmp_path: Path, empty: Path) -> None:
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "sub" / "file").write_bytes(b"\0data" * 300_000)
    os.chown(source / "sub" / "file", 1000, 1001)
    (source / "sub" / "file").chmod(0o4751)
    os.setxattr(source / "sub" / "file", "user.colour", b"green")
    os.utime(source / "sub" / "file", ns=(1, 2))
    os.chown(source, 5, 6)
    source.chmod(0o1770)
    (source / "link").symlink_to("/etc/shadow")
    os.chown(source / "link", 7, 8, follow_symlinks=False)
    os.mkfifo(source / "fifo")
    os.mknod(source / "device", 0o020666, os.makedev(1, 3))
    copy(source, empty)
    assert sorted(os.listdir(empty)) == ["link", "sub"]
    file = empty / "sub" / "file"
    status = file.stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (1000, 1001, 0o4751)
    assert (status.st_mtime_ns, os.getxattr(file, "user.colour")) == (2, b"green")
    assert file.read_bytes() == (source / "sub" / "file").read_bytes()
    assert (empty.stat().st_uid, empty.stat().st_mode & 0o7777) == (5, 0o1770)
    assert (os.readlink(empty / "link"), (empty / "link").lstat().st_gid) == ("/etc/shadow", 8)


def test_a_file_as_source_copies_nothing(tmp_path: Path, empty: Path) -> None:
    (tmp_path / "file").touch()
    copy(tmp_path / "file", empty)
    assert os.listdir(empty) == []


@pytest.mark.parametrize(("levels", "fits"), [(255, True), (256, False), (3000, False)])
def test_a_deep_tree_is_copied_or_refused(tmp_path: Path, empty: Path, levels: int, fits: bool) -> None:
    (tmp_path / "source").mkdir()
    make_deep(tmp_path / "source", levels)
    if fits:
        copy(tmp_path / "source", empty)
        assert (empty / "/".join("d" * levels)).is_dir()
    else:
        with pytest.raises(OSError, match="directories nested deeper than 256 levels") as raised:
            copy(tmp_path / "source", empty)
        assert raised.value.errno == errno.ELOOP
    remove_tree(str(tmp_path / "source"))
    remove_tree(str(empty))


@pytest.mark.requires("root", "overlay", "busybox")
def test_a_volume_gets_what_the_image_has(in_process: Launches, tmp_path: Path, empty: Path) -> None:
    image = make_image(tmp_path / "image")
    (image / "data" / "sub").mkdir(parents=True)
    (image / "data" / "sub" / "file").write_text("of the image")
    mount = overlay(image, tmp_path / "sandbox")
    volume = Mount(target="/data", fstype="bind", source=str(empty), populate=True)
    script = "cat /data/sub/file; touch /data/new"
    done = in_process.run(
        "/bin/sh", "-c", script, rootfs=mount.target, rootfs_mounts=(mount,), mounts=(volume,)
    )
    assert done.stdout == "of the image"
    assert sorted(os.listdir(empty)) == ["new", "sub"]
    assert os.listdir(image / "data") == ["sub"]
