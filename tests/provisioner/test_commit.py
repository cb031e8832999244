"""A writable layer with all that one can hold, committed, and read back by us and by others."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provisioner.image import Image
from provisioner.provisioner import Provisioner
from tests.provisioner.parts import diff
from tests.provisioner.test_overlay import in_own_mounts, mount
from tests.support import images
from tests.support.images import directory, entry, image, layer, symlink
from tests.support.tools import run, storage

pytestmark = pytest.mark.requires("root", "overlay")

CAPABILITY = b"\x01\x00\x00\x02" + b"\x00\x04" + b"\x00" * 14
NAME = "registry.example/made:v1"
BASE = layer(
    [
        *(
            directory("gone/"),
            entry("gone/f"),
            entry("file", b"old"),
            directory("kept/"),
            entry("kept/f", b"1"),
        ),
        *(directory("opaque/"), entry("opaque/old"), directory("renamed/"), entry("renamed/f", b"moved")),
        *(directory("was-directory/"), entry("was-directory/f"), symlink("was-link", "file")),
    ]
)


def write(root: Path) -> None:
    """What a task may do to its root filesystem, by the kernel's own overlayfs."""
    (root / "kept/f").unlink()
    (root / "gone/f").unlink()
    (root / "gone").rmdir()
    (root / "opaque/old").unlink()
    (root / "opaque").rmdir()
    (root / "opaque").mkdir(mode=0o751)
    (root / "opaque/new").write_text("new")
    (root / "file").write_text("changed")
    (root / "was-directory/f").unlink()
    (root / "was-directory").rmdir()
    (root / "was-directory").write_text("now a file")
    (root / "was-link").unlink()
    (root / "was-link").mkdir()
    (root / "d").mkdir()
    (root / "d/one").write_text("linked")
    os.link(root / "d/one", root / "d/two")
    os.chown(root / "d/one", 70_000, 3)
    (root / "d/one").chmod(0o6711)
    os.setxattr(root / "d/one", "security.capability", CAPABILITY)
    os.setxattr(root / "d/one", "user.note", b"\x00\xff")
    os.symlink("/etc/passwd", root / "d/link")
    os.mkfifo(root / "d/fifo", 0o640)
    os.mknod(root / "d/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(root / "d/disk", stat.S_IFBLK | 0o600, os.makedev(7, 200))
    (root / ("n" * 120)).write_text("long")
    os.utime(root / "d", ns=(0, 1_234_567_890_123_456_789))


def shown(top: Path) -> dict[str, Any]:
    """All that is there, by path."""
    found = {}
    for path in sorted(top.rglob("*")):
        status = path.lstat()
        xattrs = {} if path.is_symlink() else {n: os.getxattr(path, n).hex() for n in os.listxattr(path)}
        found[str(path.relative_to(top))] = [
            *(stat.filemode(status.st_mode), status.st_uid, status.st_gid, status.st_rdev),
            status.st_nlink if path.is_file() else 0,
            {name: value for name, value in xattrs.items() if not name.startswith("trusted.overlay.")},
            os.readlink(path) if path.is_symlink() else path.read_text() if path.is_file() else "",
        ]
    return found


def seen(provisioner: Provisioner, stored: Image, where: Path, act: Callable[[Path], None]) -> dict[str, Any]:
    """What a container of the image shows after it has acted."""
    where.mkdir()
    rootfs = provisioner.provision(stored, where.name, str(where))

    def look() -> dict[str, Any]:
        for one in rootfs.mounts:
            mount(one)
        act(Path(rootfs.path))
        return shown(Path(rootfs.path))

    found: dict[str, Any] = in_own_mounts(look)
    return found


@pytest.fixture
def committed(provisioner: Provisioner, tmp_path: Path) -> dict[str, Any]:
    """The image is there under its name; what its first container showed."""
    reference = f"oci:{images.write_layout([('', image(BASE))], tmp_path / 'layout')}"
    before = seen(provisioner, provisioner.pull(reference), tmp_path / "writer", write)
    made = provisioner.commit("writer", str(tmp_path / "writer"), NAME)
    assert (made.reference, len(made.layers)) == (NAME, 2)
    provisioner.destroy("writer", str(tmp_path / "writer"))
    return before


def test_a_container_of_it_shows_the_same(
    provisioner: Provisioner, committed: dict[str, Any], tmp_path: Path, root: Path
) -> None:
    (stored,) = (one for one in provisioner.images() if one.reference == NAME)
    after = seen(provisioner, stored, tmp_path / "reader", lambda _: None)
    assert after == committed
    assert "gone" not in after and "kept/f" not in after and "opaque/old" not in after
    assert after["d/one"][:3] == ["-rws--s--x", 70_000, 3] and after["d/one"][4] == 2
    assert after["d/one"][5] == {"security.capability": CAPABILITY.hex(), "user.note": "00ff"}
    assert after["d/disk"][:4] == ["brw-------", 0, 0, os.makedev(7, 200)]
    assert (diff(root, stored, 1) / "d").stat().st_mtime_ns == 1_234_567_890_123_456_789
    assert provisioner.verify().damages == ()
    provisioner.destroy("reader", str(tmp_path / "reader"))


@pytest.mark.requires("umoci")
def test_umoci_unpacks_it(provisioner: Provisioner, committed: dict[str, Any], tmp_path: Path) -> None:
    provisioner.save([NAME], f"{tmp_path}/saved", form="oci-dir")
    (tag,) = run("umoci", "list", "--layout", f"{tmp_path}/saved").splitlines()
    assert tag == NAME
    # umoci takes no `/` in a tag.
    index = tmp_path / "saved/index.json"
    index.write_text(index.read_text().replace(f'"{NAME}"', '"v1"'))
    run("umoci", "unpack", "--image", f"{tmp_path}/saved:v1", f"{tmp_path}/bundle")
    assert shown(tmp_path / "bundle/rootfs") == committed


@pytest.mark.requires("podman")
def test_podman_mounts_it(provisioner: Provisioner, committed: dict[str, Any], tmp_path: Path) -> None:
    provisioner.save([NAME], f"{tmp_path}/saved.tar")
    with storage("podman") as podman:
        run(*podman, "load", "-i", f"{tmp_path}/saved.tar")
        top = Path(run(*podman, "image", "mount", NAME).strip())
        assert shown(top) == committed
        run(*podman, "image", "umount", NAME)


@pytest.mark.requires("skopeo")
def test_skopeo_copies_it(provisioner: Provisioner, committed: dict[str, Any], tmp_path: Path) -> None:
    provisioner.save([NAME], f"{tmp_path}/saved.tar", form="docker")
    copied = f"oci:{tmp_path}/copied:v1"
    run("skopeo", "--insecure-policy", "copy", f"docker-archive:{tmp_path}/saved.tar", copied)
    other = Provisioner(f"{tmp_path}/other")
    assert seen(other, other.pull(copied), tmp_path / "reader", lambda _: None) == committed
