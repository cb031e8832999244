"""Pulling from OCI image layouts, ours and those of other tools."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from provisioner.errors import (
    DigestMismatch,
    ImageNotFound,
    InvalidImage,
)
from provisioner.provisioner import Provisioner
from tests.provisioner.parts import ONE, TWO, corrupt, diff
from tests.support import images
from tests.support.images import image
from tests.support.registry import Registry

pytestmark = pytest.mark.requires("root")


def test_layout_by_tag(provisioner: Provisioner, root: Path, tmp_path: Path) -> None:
    one, two = image(ONE), image(TWO)
    path = images.write_layout([("a", one), ("latest", two)], tmp_path / "layout")
    assert provisioner.pull(f"oci:{path}:a").digest == images.digest(one.manifest)
    assert provisioner.pull(f"oci:{path}").digest == images.digest(two.manifest)
    with pytest.raises(ImageNotFound, match="no image 'c'") as caught:
        provisioner.pull(f"oci:{path}:c")
    assert caught.value.hint == "its tags are: a, latest"
    assert [found.reference for found in provisioner.images()] == [f"oci:{path}", f"oci:{path}:a"]


def test_damaged_layout(provisioner: Provisioner, tmp_path: Path) -> None:
    path = images.write_layout([("", image(ONE))], tmp_path / "layout")
    blob = path / "blobs" / images.digest(ONE.blob).replace(":", "/")
    blob.write_bytes(corrupt(ONE.blob))
    with pytest.raises(DigestMismatch):
        provisioner.pull(f"oci:{path}")
    blob.unlink()
    os.mkfifo(blob)
    with pytest.raises(InvalidImage, match="not a regular file"):
        provisioner.pull(f"oci:{path}")
    blob.unlink()
    with pytest.raises(ImageNotFound, match="cannot read"):
        provisioner.pull(f"oci:{path}")
    (path / "index.json").write_text("{")
    with pytest.raises(InvalidImage, match="not JSON"):
        provisioner.pull(f"oci:{path}")
    (path / "oci-layout").unlink()
    with pytest.raises(ImageNotFound, match="oci-layout is missing"):
        provisioner.pull(f"oci:{path}")


def test_loading_a_directory_says_how_it_is_pulled(provisioner: Provisioner, tmp_path: Path) -> None:
    with pytest.raises(InvalidImage, match="not a regular file") as refused:
        provisioner.load(str(tmp_path))
    assert f"pull oci:{tmp_path}" in str(refused.value.hint)


def test_an_archive_of_other_things_than_images(provisioner: Provisioner, tmp_path: Path) -> None:
    path = images.write_layout([("x", image(ONE))], tmp_path / "layout")
    index = json.loads((path / "index.json").read_text())
    index["manifests"][0]["mediaType"] = "text/plain"
    (path / "index.json").write_text(json.dumps(index))
    with pytest.raises(InvalidImage, match="lists no images"):
        provisioner.load(shutil.make_archive(f"{tmp_path}/layout", "tar", path))


@pytest.mark.parametrize("name", [5, ["x"], {"x": "y"}])
def test_a_tag_that_is_no_text_is_none(provisioner: Provisioner, tmp_path: Path, name: object) -> None:
    path = images.write_layout([("x", image(ONE))], tmp_path / "layout")
    text = (path / "index.json").read_text()
    assert text.count('"x"') == 1
    (path / "index.json").write_text(text.replace('"x"', json.dumps(name)))
    with pytest.raises(ImageNotFound, match="no image 'x'"):
        provisioner.pull(f"oci:{path}:x")
    archive = shutil.make_archive(f"{tmp_path}/layout", "tar", path)
    assert provisioner.load(archive)[0].reference.startswith("localhost/loaded:")


@pytest.mark.requires("umoci")
def test_layout_by_umoci(provisioner: Provisioner, root: Path, tmp_path: Path) -> None:
    path = f"{tmp_path}/layout"
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/file").write_text("by umoci")
    for command in (
        ["umoci", "init", "--layout", path],
        ["umoci", "new", "--image", f"{path}:v1"],
        ["umoci", "insert", "--image", f"{path}:v1", f"{tmp_path}/tree", "/opt"],
    ):
        subprocess.run(command, check=True, capture_output=True)
    pulled = provisioner.pull(f"oci:{path}:v1")
    assert (diff(root, pulled, -1) / "opt/file").read_text() == "by umoci"


@pytest.mark.requires("registry", "skopeo")
def test_what_skopeo_copied(provisioner: Provisioner, root: Path, registry: Registry, tmp_path: Path) -> None:
    images.write_layout([("v1", image(ONE, TWO))], tmp_path / "ours")
    copy = ["skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false", f"oci:{tmp_path}/ours:v1"]
    subprocess.run([*copy, f"docker://{registry.host}/skopeo:v1"], check=True, capture_output=True)
    subprocess.run([*copy, f"oci:{tmp_path}/theirs:v1"], check=True, capture_output=True)
    first = provisioner.pull(f"{registry.host}/skopeo:v1")
    second = provisioner.pull(f"oci:{tmp_path}/theirs:v1")
    assert first.layers == second.layers
    assert (diff(root, second, 1) / "etc/other").read_bytes() == b"two"
