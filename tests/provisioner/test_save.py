"""Images saved by us are read by skopeo and podman, and what they write is loaded by us."""

from __future__ import annotations

import json
import os
import stat
import tarfile  # noqa: TID251 - looks into what was written
from pathlib import Path

import pytest

from provisioner.errors import ImageNotFound, StoreError
from provisioner.provisioner import Provisioner
from tests.provisioner.parts import ONE, TWO, diff
from tests.support import images
from tests.support.images import directory, entry, hardlink, image, layer, symlink
from tests.support.tools import run, storage

pytestmark = pytest.mark.requires("root")

NAME = "registry.example/app:v1"
FULL = layer(
    [
        directory("d/", mode=0o750, uid=70000, gid=3),
        entry("d/file", b"content", mode=0o4755, pax={"SCHILY.xattr.user.note": "x"}),
        hardlink("d/link", "d/file"),
        symlink("to", "d/file"),
        entry("n" * 120, b"long"),
        entry("etc/.wh.name"),
        directory("d/sub/"),
        entry("d/sub/.wh..wh..opq"),
    ]
)


@pytest.fixture
def stored(provisioner: Provisioner, tmp_path: Path) -> Provisioner:
    """One image under the name of a registry."""
    return loaded(provisioner, tmp_path)


def loaded(provisioner: Provisioner, tmp_path: Path) -> Provisioner:
    config = {"Env": ["A=1"], "Cmd": ["sh"]}
    path = images.write_layout([(NAME, image(ONE, FULL, config=config))], tmp_path / "layout")
    with tarfile.open(tmp_path / "layout.tar", "w") as tar:
        tar.add(path, ".")
    provisioner.load(f"{tmp_path}/layout.tar")
    return provisioner


def facts(tree: Path) -> dict[str, tuple[object, ...]]:
    found = {}
    for path in sorted(tree.rglob("*")):
        status = path.lstat()
        xattrs = {
            name: os.getxattr(path, name, follow_symlinks=False)
            for name in os.listxattr(path, follow_symlinks=False)
        }
        found[str(path.relative_to(tree))] = (
            status.st_mode,
            status.st_uid,
            status.st_gid,
            status.st_nlink,
            status.st_rdev,
            xattrs,
            status.st_mtime_ns if not stat.S_ISCHR(status.st_mode) else 0,  # a whiteout's means nothing
            path.read_bytes() if path.is_file() and not path.is_symlink() else None,
        )
    return found


@pytest.mark.parametrize("form", ["oci", "docker"])
@pytest.mark.parametrize("compress", [False, True])
def test_what_is_saved_is_loaded_as_it_was(
    stored: Provisioner, root: Path, tmp_path: Path, form: str, compress: bool
) -> None:
    stored.save([NAME], f"{tmp_path}/saved.tar", form=form, compress=compress)  # type: ignore[arg-type]
    other = Provisioner(f"{tmp_path}/other")
    (again,) = other.load(f"{tmp_path}/saved.tar")
    (first,) = stored.images()
    assert (
        (again.reference, again.config)
        == (first.reference, first.config)
        == (NAME, {"Env": ["A=1"], "Cmd": ["sh"]})
    )
    for index in range(2):
        assert facts(diff(tmp_path / "other", again, index)) == facts(diff(root, first, index))


def test_saving_again_makes_the_same_bytes(stored: Provisioner, tmp_path: Path) -> None:
    other = Provisioner(f"{tmp_path}/other")
    stored.save([NAME], f"{tmp_path}/1")
    other.load(f"{tmp_path}/1")
    other.save([NAME], f"{tmp_path}/2")
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_images_that_share_a_layer_save_it_once(provisioner: Provisioner, tmp_path: Path) -> None:
    shared = layer([entry("big", os.urandom(500_000))])
    path = images.write_layout([("a", image(shared)), ("b", image(shared, TWO))], tmp_path / "layout")
    for tag in ("a", "b"):
        provisioner.pull(f"oci:{path}:{tag}")
    provisioner.save([f"oci:{path}:a", f"oci:{path}:b"], f"{tmp_path}/both.tar")
    assert (tmp_path / "both.tar").stat().st_size < 600_000


@pytest.mark.requires("skopeo")
@pytest.mark.parametrize(
    ("form", "transport"), [("oci", "oci-archive"), ("docker", "docker-archive"), ("oci-dir", "oci")]
)
def test_skopeo_reads_what_is_saved(stored: Provisioner, tmp_path: Path, form: str, transport: str) -> None:
    stored.save([NAME], f"{tmp_path}/saved", form=form)  # type: ignore[arg-type]
    inspected = json.loads(run("skopeo", "inspect", f"{transport}:{tmp_path}/saved:{NAME}"))
    assert inspected["Env"] == ["A=1"] and len(inspected["Layers"]) == 2
    run(
        "skopeo",
        "--insecure-policy",
        "copy",
        f"{transport}:{tmp_path}/saved:{NAME}",
        f"dir:{tmp_path}/copied",
    )


@pytest.mark.requires("podman")
@pytest.mark.parametrize("form", ["oci", "docker"])
def test_podman_loads_what_is_saved(stored: Provisioner, tmp_path: Path, form: str) -> None:
    stored.save([NAME], f"{tmp_path}/saved", form=form)  # type: ignore[arg-type]
    with storage("podman") as podman:
        run(*podman, "load", "-i", f"{tmp_path}/saved")
        (loaded,) = json.loads(run(*podman, "image", "inspect", NAME))
    assert loaded["Config"]["Cmd"] == ["sh"]


def test_a_failed_save_leaves_nothing(stored: Provisioner, tmp_path: Path) -> None:
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(ImageNotFound):
        stored.save([NAME, "absent"], f"{tmp_path}/saved")
    with pytest.raises(StoreError, match="cannot save images"):
        stored.save([NAME], f"{tmp_path}/absent/saved")
    os.mkdir(tmp_path / "taken")
    (tmp_path / "taken/file").touch()
    with pytest.raises(StoreError):
        stored.save([NAME], f"{tmp_path}/taken", form="oci-dir")
    assert sorted(os.listdir(tmp_path)) == sorted([*before, "taken"])
