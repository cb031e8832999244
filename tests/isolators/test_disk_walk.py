"""What a tree takes on the disk, compared with du(1), and while somebody changes the tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from isolators.disk import limits
from isolators.disk.walk import Walk

MEBIBYTE = 1 << 20
ROOT = Path(__file__).parents[2]

_MEASURE = """import sys; from isolators.disk.walk import Walk
walk = Walk(sys.argv[1]); walk.step(sys.maxsize); print(walk.total)"""


def measured(root: Path, step: int = 7) -> int:
    walk = Walk(str(root))
    while not walk.step(step):
        pass
    walk.close()
    return walk.total


def du(root: Path) -> int:
    """Without the directory itself, which no task has written."""
    own = root.stat().st_blocks * 512
    done = subprocess.run(["du", "-s", "-B1", str(root)], stdout=subprocess.PIPE, text=True, check=True)
    return int(done.stdout.split()[0]) - own


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Files, holes, links of both kinds, and directories in each other."""
    root = tmp_path / "tree"
    root.mkdir()
    for number in range(30):
        directory = root / f"d{number % 5}" / f"e{number % 3}"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"f{number}").write_bytes(b"x" * number * 5000)
    with open(root / "sparse", "wb") as file:
        file.truncate(64 * MEBIBYTE)
        file.write(b"x" * 8192)
    for number in range(3):
        os.link(root / "d1" / "e1" / "f1", root / f"hard{number}")
        os.link(root / "d1" / "e1" / "f16", root / "d2" / f"hard{number}")
    (root / "soft").symlink_to("/usr")
    os.mkfifo(root / "d0" / "fifo")
    return root


def test_files_with_nothing_in_them_count_where_they_are_many(tmp_path: Path) -> None:
    """By their blocks a task could make more of them than the filesystem has inodes."""
    for number in range(limits.FREE + 1000):
        os.mknod(tmp_path / str(number))
        if number == limits.FREE - 1:
            assert measured(tmp_path, 10_000) == 0
    assert measured(tmp_path, 10_000) == 1000 * limits.BLOCK


@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_a_tree_takes_what_du_says(tree: Path, step: int) -> None:
    assert measured(tree, step) == du(tree)


def test_names_of_one_file_outside_of_the_tree_share_it(tree: Path) -> None:
    whole = measured(tree)
    size = (tree / "d0" / "e1" / "f25").stat().st_blocks * 512
    for number in range(3):
        os.link(tree / "d0" / "e1" / "f25", tree.parent / f"name{number}")
    assert measured(tree) == whole - size + size // 4


def test_names_of_files_take_no_memory(tmp_path: Path) -> None:
    """Of each a part is counted, and none is remembered: a task may make millions of them."""
    for directory in ("one", "other"):
        (tmp_path / directory).mkdir()
    for number in range(2000):
        (tmp_path / "one" / str(number)).touch()
        os.link(tmp_path / "one" / str(number), tmp_path / "other" / str(number))
    walk = Walk(str(tmp_path))
    walk.step(2200)  # one directory, and the beginning of the other
    assert all(len(value) < 100 for value in vars(walk).values() if isinstance(value, dict | list | set))
    walk.close()


def test_a_step_looks_at_so_many_entries_and_no_more(tree: Path) -> None:
    walk = Walk(str(tree))
    assert not walk.step(1)
    assert walk.total < du(tree) // 4
    walk.close()
    walk.close()


def test_a_link_is_not_followed_and_the_root_is_not_either(tmp_path: Path, tree: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "link").symlink_to(tree)
    assert measured(other) == (other / "link").lstat().st_blocks * 512
    assert measured(other / "link") == 0


def test_what_is_not_there_takes_nothing(tmp_path: Path) -> None:
    assert measured(tmp_path / "absent") == 0


@pytest.mark.requires("root")
def test_another_filesystem_below_is_not_counted(tree: Path) -> None:
    before = measured(tree)
    script = 'mount -t tmpfs none "$1/d4" && head -c 4M /dev/zero >"$1/d4/file" && exec "$2" -c "$3" "$1"'
    argv = ["unshare", "--mount", "sh", "-c", script, "sh", str(tree), sys.executable, _MEASURE]
    done = subprocess.run(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    hidden = sum(p.lstat().st_blocks * 512 for p in [tree / "d4", *(tree / "d4").rglob("*")])
    assert int(done.stdout) == before - hidden


def test_a_directory_that_moves_out_of_the_tree_does_not_lead_out(tmp_path: Path, tree: Path) -> None:
    """`..` of where the walk is leads elsewhere then; the walk finds its way again from the root."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "large").write_bytes(b"x" * 8 * MEBIBYTE)
    whole = measured(tree)
    for steps in range(1, 120, 3):
        walk = Walk(str(tree))
        walk.step(steps)
        shutil.move(tree / "d3", outside / "d3")
        while not walk.step(5):
            pass
        walk.close()
        assert walk.total <= whole
        shutil.move(outside / "d3", tree / "d3")


def test_what_is_deleted_meanwhile_is_missed_and_no_error(tmp_path: Path, tree: Path) -> None:
    for steps in range(1, 120, 3):
        copy = tmp_path / f"copy{steps}"
        shutil.copytree(tree, copy, symlinks=True, ignore=shutil.ignore_patterns("fifo"))
        walk = Walk(str(copy))
        walk.step(steps)
        shutil.rmtree(copy)
        while not walk.step(5):
            pass
        walk.close()


def test_a_directory_that_becomes_a_link_is_not_followed(tmp_path: Path, tree: Path) -> None:
    large = tmp_path / "large"
    large.mkdir()
    (large / "file").write_bytes(b"x" * 8 * MEBIBYTE)
    walk = Walk(str(tree))
    walk.step(len(os.listdir(tree)))  # all names of the root are known now, and no directory was entered
    shutil.rmtree(tree / "d0")
    (tree / "d0").symlink_to(large)
    while not walk.step(5):
        pass
    walk.close()
    assert walk.total < 8 * MEBIBYTE


def test_a_tree_may_be_deeper_than_a_path_is_long(tmp_path: Path) -> None:
    root = tmp_path / "deep"
    root.mkdir()
    name, depth = "d" * 200, 40
    here = os.open(root, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    file = os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=here)
    os.write(file, b"x" * MEBIBYTE)
    os.close(file)
    os.close(here)
    assert measured(root) >= MEBIBYTE
    subprocess.run(["rm", "-rf", str(root)], check=True)
