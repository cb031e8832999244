"""What every backend owes: the root filesystem that the kernel's overlayfs shows, and nothing left behind."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tarfile  # noqa: TID251 - names of entry types
from pathlib import Path
from typing import Any

import pytest

from launcher.errors import InvalidRequest
from provisioner.backends import choose, copy_tree
from provisioner.backends.copy_tree import merge
from provisioner.errors import UnsupportedImage
from provisioner.image import Image
from provisioner.provisioner import Provisioner
from tests.provisioner.test_overlay import in_own_mounts, mount
from tests.support import images
from tests.support.images import Layer, directory, entry, hardlink, image, layer, symlink

pytestmark = pytest.mark.requires("root", "overlay")

CAPABILITY = "\x01\x00\x00\x02" + "\x00\x04" + "\x00" * 14
BOTTOM = layer(
    [
        directory("./", mode=0o711),
        directory("d/", mode=0o2775, uid=7, gid=8, mtime=5_000),
        entry("d/gone", b"1"),
        entry("d/kept", b"2" * 5000, mode=0o4755, uid=5),
        hardlink("d/again", "d/kept"),
        symlink("d/l", "/etc/passwd", uid=3),
        entry("d/fifo", kind=tarfile.FIFOTYPE, mode=0o640),
        entry("d/null", kind=tarfile.CHRTYPE, device=(1, 3)),
        *(directory("o/"), entry("o/old"), directory("o/sub/"), entry("o/sub/f")),
        *(directory("was-directory/"), entry("was-directory/f"), entry("was-file")),
        symlink("was-link", "d"),
        entry("ping", b"3", pax={"SCHILY.xattr.security.capability": CAPABILITY, "SCHILY.xattr.user.k": "v"}),
    ]
)
TOP = layer(
    [
        entry("d/.wh.gone"),
        *(directory("o/"), entry("o/.wh..wh..opq"), entry("o/new")),
        *(entry("was-directory", b"file"), directory("was-file/"), entry("was-file/f")),
        *(directory("was-link/"), entry("was-link/f")),
        directory("p/", mode=0o700, pax={"SCHILY.xattr.user.k": "top"}),
    ]
)

WHOLE = layer(
    [
        *(directory(name) for name in ("proc/", "sys/", "dev/", "d/")),
        *(directory("etc/", mode=0o751), entry("etc/passwd", b"root"), entry("d/kept")),
    ]
)


def provisioned(root: Path, name: str | None, *layers: Layer) -> tuple[Provisioner, Image]:
    images.write_layout([("", image(*layers))], root / "layout")
    provisioner = Provisioner(str(root / "root"), backend=name)
    (root / "container").mkdir(exist_ok=True)
    return provisioner, provisioner.pull(f"oci:{root}/layout")


def shown(root: Path, name: str, *layers: Layer) -> dict[str, Any]:
    """All that a task could see of each file, by its path."""
    provisioner, pulled = provisioned(root, name, *layers)
    rootfs = provisioner.provision(pulled, "c", str(root / "container"))
    assert provisioner.describe(pulled, str(root / "container")) == rootfs

    def look() -> dict[str, Any]:
        for one in rootfs.mounts:
            mount(one)
        top = Path(rootfs.path)
        return {str(path.relative_to(top)): seen(path) for path in (top, *sorted(top.rglob("*")))}

    found: dict[str, Any] = in_own_mounts(look)
    assert os.listdir(rootfs.path) == []
    # Another process, which knows nothing of the choice, takes it away.
    Provisioner(str(root / "root")).destroy("c", str(root / "container"))
    assert os.listdir(root / "container") == []
    return found


def seen(path: Path) -> list[Any]:
    status = path.lstat()
    own = [status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, status.st_rdev]
    links = 0 if stat.S_ISDIR(status.st_mode) else status.st_nlink
    xattrs = {name: os.getxattr(path, name, follow_symlinks=False).hex() for name in _xattrs(path)}
    content = path.read_text() if stat.S_ISREG(status.st_mode) else ""
    return [*own, links, xattrs, os.readlink(path) if path.is_symlink() else content]


def _xattrs(path: Path) -> list[str]:
    names = os.listxattr(path, follow_symlinks=False)
    return sorted(name for name in names if name.startswith(("user.", "security.capability")))


def test_a_copy_is_what_overlayfs_shows(tmp_path: Path) -> None:
    overlay = shown(tmp_path / "overlay", "overlay", BOTTOM, TOP)
    copy = shown(tmp_path / "copy", "copy", BOTTOM, TOP)
    for found in (overlay, copy):
        found.pop(".")  # the overlay's upper directory is new; modes are compared elsewhere
    assert copy == overlay
    assert {"d/kept", "d/again", "o/new", "was-link/f"} <= set(copy)
    assert not {"d/gone", "o/old", "o/sub"} & set(copy)


def test_one_layer_bound_read_only(tmp_path: Path) -> None:
    provisioner, pulled = provisioned(tmp_path, "bind", WHOLE)
    rootfs = provisioner.provision(pulled, "c", str(tmp_path / "container"))
    (one,) = rootfs.mounts
    assert (one.fstype, one.flags) == ("bind", ("ro", "nodev"))
    assert (Path(one.source) / "d/kept").exists()
    (etc,) = rootfs.inside
    assert (etc.target, Path(etc.source, "passwd").read_text()) == ("/etc", "root")
    assert stat.S_IMODE(Path(etc.source).stat().st_mode) == 0o751
    provisioner.destroy("c", str(tmp_path / "container"))
    assert os.listdir(tmp_path / "container") == [] and (Path(one.source) / "d/kept").exists()


def test_bind_refuses_an_image_that_lacks_what_is_mounted_on(tmp_path: Path) -> None:
    one = layer([directory("proc/"), symlink("etc", "/usr/etc"), entry("dev")])
    provisioner, pulled = provisioned(tmp_path, "bind", one)
    with pytest.raises(UnsupportedImage, match="no directory /sys, /dev, /etc,"):
        provisioner.provision(pulled, "c", str(tmp_path / "container"))
    provisioner.destroy("c", str(tmp_path / "container"))


@pytest.mark.parametrize("layers", [(), (BOTTOM, TOP)])
def test_bind_refuses_what_is_not_one_layer(tmp_path: Path, layers: tuple[Layer, ...]) -> None:
    provisioner, pulled = provisioned(tmp_path, "bind", *layers)
    with pytest.raises(UnsupportedImage, match=f"one layer, not of {len(layers)}"):
        provisioner.provision(pulled, "c", str(tmp_path / "container"))
    provisioner.destroy("c", str(tmp_path / "container"))


def test_what_a_copy_writes_stays_out_of_the_store(tmp_path: Path) -> None:
    provisioner, pulled = provisioned(tmp_path, "copy", BOTTOM)
    provisioner.provision(pulled, "c", str(tmp_path / "container"))
    (tmp_path / "container/copy/d/kept").write_text("changed")
    (layer_directory,) = (tmp_path / "root/store/layers/sha256").iterdir()
    assert (layer_directory / "diff/d/kept").read_bytes() == b"2" * 5000
    provisioner.destroy("c", str(tmp_path / "container"))


def test_holes_stay_holes_in_a_copy(tmp_path: Path) -> None:
    for name in ("layer", "target"):
        (tmp_path / name).mkdir()
    with (tmp_path / "layer/f").open("wb") as file:
        for offset in (1 << 20, 5 << 20):
            file.seek(offset)
            file.write(b"x" * 4096)
        file.truncate(9 << 20)
    merge(str(tmp_path / "layer"), str(tmp_path / "target"))
    assert (tmp_path / "target/f").read_bytes() == (tmp_path / "layer/f").read_bytes()
    assert (tmp_path / "target/f").stat().st_blocks * 512 < 1 << 20


def test_a_filesystem_that_copies_nothing_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(95, "not supported")  # EOPNOTSUPP

    monkeypatch.setattr(copy_tree.os, "copy_file_range", refuse)
    monkeypatch.setattr(copy_tree.fcntl, "ioctl", refuse)
    for name in ("layer", "target"):
        (tmp_path / name).mkdir()
    (tmp_path / "layer/f").write_bytes(content := os.urandom(300_000))
    merge(str(tmp_path / "layer"), str(tmp_path / "target"))
    assert (tmp_path / "target/f").read_bytes() == content


def test_a_merge_follows_no_link(tmp_path: Path) -> None:
    for name in ("one", "two/l", "target", "outside"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "outside/f").write_text("untouched")
    (tmp_path / "one/l").symlink_to("../outside")
    (tmp_path / "two/l/f").write_text("from the image")
    for name in ("one", "two"):
        merge(str(tmp_path / name), str(tmp_path / "target"))
    assert (tmp_path / "outside/f").read_text() == "untouched"
    assert (tmp_path / "target/l/f").read_text() == "from the image"


def test_the_best_has_its_reason(tmp_path: Path) -> None:
    assert choose.best(str(tmp_path / "not yet there")).name == "overlay"
    with pytest.raises(InvalidRequest, match="unknown image backend 'aufs'"):
        choose.make("aufs", str(tmp_path))


def test_on_an_overlay_the_best_is_a_copy() -> None:
    script = (
        "import sys; sys.path[:0] = sys.argv[1:]; from provisioner.backends import choose;"
        " print(choose.best('/mnt/merged/root'))"
    )
    root = str(Path(__file__).resolve().parents[2])
    mounting = (
        "mount -t tmpfs none /mnt && cd /mnt && mkdir lower upper work merged && mount -t overlay none"
        " -o lowerdir=lower,upperdir=upper,workdir=work merged && exec"
    )
    argv = ["unshare", "--mount", "sh", "-c", f'{mounting} "$@"', "sh", sys.executable, "-c", script, root]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=True)
    assert "name='copy'" in done.stdout and "on overlayfs" in done.stdout
