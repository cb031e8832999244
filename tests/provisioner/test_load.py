"""Archives of images: those of real programs, of old and new layouts, and hostile ones."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import subprocess
import tarfile  # noqa: TID251 - writes archives
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest

from provisioner.errors import (
    DigestMismatch,
    ImageNotFound,
    InvalidImage,
    InvalidLayer,
    InvalidReference,
    ProvisionerError,
)
from provisioner.provisioner import Provisioner
from tests.provisioner.parts import ONE, TWO, corrupt, diff
from tests.support import images
from tests.support.images import ImageParts, compress_zstd, entry, image, symlink
from tests.support.tools import run, storage

pytestmark = pytest.mark.requires("root")

BUSYBOX = "docker.io/library/busybox:1"


def hex_of(content: bytes) -> str:
    return images.digest(content).partition(":")[2]


def docker_files(parts: ImageParts, *names: str, manifest: object = None) -> dict[str, bytes]:
    """As docker wrote before version 25."""
    layers = {f"{hex_of(layer.archive)}/layer.tar": layer.archive for layer in parts.layers}
    config = f"{hex_of(parts.config)}.json"
    listed = manifest or [{"Config": config, "RepoTags": list(names) or None, "Layers": list(layers)}]
    return {**layers, config: parts.config, "manifest.json": json.dumps(listed).encode()}


def write(path: Path, files: Mapping[str, bytes], *more: tuple[tarfile.TarInfo, bytes]) -> str:
    path.write_bytes(images.archive([*(entry(name, content) for name, content in files.items()), *more]))
    return str(path)


@pytest.fixture
def saved(tmp_path: Path) -> str:
    return write(tmp_path / "saved.tar", docker_files(image(ONE, TWO), "busybox:1"))


def test_docker_archive_by_name(provisioner: Provisioner, root: Path, tmp_path: Path) -> None:
    one, two = docker_files(image(ONE), "busybox:1"), docker_files(image(ONE, TWO), "host:5000/b", "c:2")
    listed = json.loads(one["manifest.json"]) + json.loads(two["manifest.json"])
    path = write(tmp_path / "saved.tar", {**one, **two, "manifest.json": json.dumps(listed).encode()})
    pulled = provisioner.pull(f"docker-archive:{path}:c:2")
    assert (diff(root, pulled, 1) / "etc/other").read_bytes() == b"two"
    with pytest.raises(ImageNotFound, match="2 images in") as caught:
        provisioner.pull(f"docker-archive:{path}")
    assert caught.value.hint and BUSYBOX in caught.value.hint
    assert [i.reference for i in provisioner.load(path)] == [
        BUSYBOX,
        "host:5000/b:latest",
        "docker.io/library/c:2",
    ]
    assert provisioner.pull(f"docker-archive:{path}:busybox:1", policy="missing").layers == pulled.layers[:1]
    with pytest.raises(InvalidReference, match="one name for the 2 images"):
        provisioner.load(path, name="one")


@pytest.mark.parametrize("compress", [gzip.compress, compress_zstd, bz2.compress, lzma.compress])
def test_compressed_archives(
    provisioner: Provisioner, root: Path, saved: str, compress: Callable[[bytes], bytes]
) -> None:
    Path(saved).write_bytes(compress(Path(saved).read_bytes()))
    (loaded,) = provisioner.load(saved)
    assert loaded.reference == BUSYBOX
    assert os.listdir(root / "store/ingest") == []
    Path(saved).write_bytes(compress(Path(saved).read_bytes())[:-20])
    with pytest.raises(InvalidImage):
        provisioner.load(saved)


def test_an_archive_from_a_pipe(provisioner: Provisioner, saved: str) -> None:
    with subprocess.Popen(["cat", saved], stdout=subprocess.PIPE) as cat:
        assert cat.stdout is not None
        (loaded,) = provisioner.load(cat.stdout.fileno(), name="other/name")
    assert loaded.reference == "docker.io/other/name:latest"


def test_layers_that_are_links_and_compressed(provisioner: Provisioner, root: Path, tmp_path: Path) -> None:
    parts = image(ONE, ONE)
    listed = [{"Config": "c.json", "RepoTags": ["x"], "Layers": ["a/layer.tar", "b/layer.tar"]}]
    files = {"a/layer.tar": ONE.blob, "c.json": parts.config, "manifest.json": json.dumps(listed).encode()}
    (loaded,) = provisioner.load(write(tmp_path / "s", files, symlink("b/layer.tar", "../a/layer.tar")))
    assert (diff(root, loaded, 1) / "etc/name").read_bytes() == b"one"


def test_an_image_that_nobody_has_named(provisioner: Provisioner, tmp_path: Path) -> None:
    (loaded,) = provisioner.load(write(tmp_path / "s", docker_files(image(ONE))))
    assert loaded.reference == f"localhost/loaded:{loaded.digest[7:19]}"


def test_oci_archive(provisioner: Provisioner, tmp_path: Path) -> None:
    layout = images.write_layout([("a", image(ONE)), ("host:1/b:2", image(TWO))], tmp_path / "layout")
    run("tar", "-C", str(layout), "-czf", f"{tmp_path}/o.tar.gz", ".")
    one = provisioner.pull(f"oci-archive:{tmp_path}/o.tar.gz:a")
    two = provisioner.pull(f"oci-archive:{tmp_path}/o.tar.gz:host:1/b:2")
    assert [one.digest, two.digest] == [images.digest(image(x).manifest) for x in (ONE, TWO)]
    loaded = provisioner.load(f"{tmp_path}/o.tar.gz")
    assert [i.reference for i in loaded] == ["localhost/a:latest", "host:1/b:2"]
    assert {i.reference for i in provisioner.images()} >= {one.reference, two.reference}
    provisioner.remove(two.reference)


def test_an_archive_from_before_manifests(provisioner: Provisioner, root: Path, tmp_path: Path) -> None:
    low, high = "a" * 64, "b" * 64
    top = {"id": high, "parent": low, "os": "linux", "architecture": "amd64", "config": {"Cmd": ["x"]}}
    files = {
        "repositories": json.dumps({"busybox": {"old": high, "1": low}}).encode(),
        f"{low}/json": json.dumps({"id": low}).encode(),
        f"{low}/layer.tar": ONE.archive,
        f"{high}/json": json.dumps(top).encode(),
        f"{high}/layer.tar": TWO.archive,
    }
    loaded = provisioner.load(write(tmp_path / "s", files), platform="linux/amd64")
    assert [i.reference for i in loaded] == ["docker.io/library/busybox:old", BUSYBOX]
    assert loaded[0].config == {"Cmd": ["x"]} and loaded[0].layers[:1] == loaded[1].layers
    assert (diff(root, loaded[0], 1) / "etc/other").read_bytes() == b"two"
    pulled = provisioner.pull(f"docker-archive:{tmp_path}/s:busybox:old", platform="linux/amd64")
    assert (pulled.layers, pulled.digest) == (loaded[0].layers, loaded[0].digest)
    with pytest.raises(ImageNotFound, match="2 images"):
        provisioner.pull(f"docker-archive:{tmp_path}/s")
    for parent in (high, "../x", 5):
        broken = files | {f"{high}/json": json.dumps(top | {"parent": parent}).encode()}
        with pytest.raises(InvalidImage):
            provisioner.load(write(tmp_path / "s", broken))


# Hostile archives.


def broken(parts: ImageParts) -> Iterable[tuple[str, Mapping[str, bytes], type[ProvisionerError]]]:
    good = docker_files(parts, "busybox:1")
    layer = f"{hex_of(ONE.archive)}/layer.tar"
    config = f"{hex_of(parts.config)}.json"

    def listed(**changes: object) -> dict[str, bytes]:
        value = json.loads(good["manifest.json"])
        value[0] |= changes
        return good | {"manifest.json": json.dumps(value).encode()}

    yield "no files", {}, InvalidImage
    yield "not JSON", good | {"manifest.json": b"["}, InvalidImage
    yield "deep JSON", good | {"manifest.json": b"[" * 100_000}, InvalidImage
    yield "no list", good | {"manifest.json": b"{}"}, InvalidImage
    yield "large manifest", good | {"manifest.json": b" " * (5 << 20)}, InvalidImage
    yield "changed configuration", good | {config: parts.config + b" "}, DigestMismatch
    yield "changed layer", good | {layer: corrupt(ONE.archive)}, DigestMismatch
    yield "cut layer", good | {layer: ONE.archive[:700]}, ProvisionerError
    yield "absent layer", listed(Layers=["../../etc/passwd"]), ImageNotFound
    yield "too few layers", listed(Layers=[]), InvalidImage
    yield "numbers", listed(Layers=[1]), InvalidImage
    yield "absent configuration", listed(Config="/etc/passwd"), ImageNotFound
    yield "name of a file", listed(RepoTags=["oci:/etc"]), InvalidImage
    yield "no name", listed(RepoTags=["A B"]), InvalidImage


@pytest.mark.parametrize("case", list(broken(image(ONE))), ids=lambda case: case[0])
def test_broken_archives(
    provisioner: Provisioner,
    root: Path,
    tmp_path: Path,
    case: tuple[str, Mapping[str, bytes], type[ProvisionerError]],
) -> None:
    path = write(tmp_path / "s", case[1])
    with pytest.raises(case[2]) as caught:
        provisioner.load(path)
    assert not isinstance(caught.value, InvalidLayer) or "layer" in str(caught.value)
    assert provisioner.images() == []
    for part in ("blobs", "layers"):
        assert not (root / "store" / part).exists() or list((root / "store" / part).rglob("*.*")) == []


def test_two_files_of_one_name(provisioner: Provisioner, tmp_path: Path) -> None:
    files = docker_files(image(ONE), "busybox:1")
    path = write(tmp_path / "s", files, entry("./manifest.json", b"[]"))
    with pytest.raises(InvalidImage, match=r"'manifest\.json' twice"):
        provisioner.load(path)


def test_links_in_a_circle_or_out(provisioner: Provisioner, tmp_path: Path) -> None:
    files = docker_files(image(ONE), "busybox:1")
    del files["manifest.json"]
    for target, error in (("manifest.json", InvalidImage), ("/etc/passwd", ImageNotFound)):
        with pytest.raises(error):
            provisioner.load(write(tmp_path / "s", files, symlink("manifest.json", target)))


def test_no_archive_at_all(provisioner: Provisioner, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "text").write_text("text" * 1000)
    for name, error in (
        ("absent", ImageNotFound),
        ("fifo", InvalidImage),
        ("text", InvalidImage),
        (".", InvalidImage),
    ):
        with pytest.raises(error):
            provisioner.load(f"{tmp_path}/{name}")


# What real programs write.


@pytest.mark.requires("skopeo")
@pytest.mark.parametrize("transport", ["oci-archive", "docker-archive"])
def test_archives_by_skopeo(provisioner: Provisioner, root: Path, tmp_path: Path, transport: str) -> None:
    images.write_layout([("v1", image(ONE, ONE))], tmp_path / "ours")
    target = f"{transport}:{tmp_path}/theirs:example.com/app:v1"
    run("skopeo", "--insecure-policy", "copy", f"oci:{tmp_path}/ours:v1", target)
    pulled = provisioner.pull(target)
    assert (diff(root, pulled, 1) / "etc/name").read_bytes() == b"one"
    assert [i.reference for i in provisioner.load(f"{tmp_path}/theirs")] == ["example.com/app:v1"]


@pytest.mark.requires("podman", "skopeo")
@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_archives_by_podman(provisioner: Provisioner, tmp_path: Path, form: str) -> None:
    write(tmp_path / "saved.tar", docker_files(image(ONE, TWO), "example.com/app:v1"))
    with storage("podman") as podman:
        run(*podman, "load", "-i", f"{tmp_path}/saved.tar")
        run(*podman, "save", "--format", form, "-o", f"{tmp_path}/theirs", "example.com/app:v1")
    assert [i.reference for i in provisioner.load(f"{tmp_path}/theirs")] == ["example.com/app:v1"]


@pytest.mark.requires("buildah")
def test_images_by_buildah(provisioner: Provisioner, root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("by buildah")
    with storage("buildah") as buildah:
        working = run(*buildah, "from", "scratch").strip()
        run(*buildah, "copy", working, f"{tmp_path}/file", "/opt/file")
        run(*buildah, "config", "--cmd", "/opt/file", working)
        run(*buildah, "commit", working, f"oci:{tmp_path}/layout:v1")
        run(*buildah, "commit", working, f"docker-archive:{tmp_path}/docker.tar:example.com/b:v1")
        run(*buildah, "rm", working)
    pulled = provisioner.pull(f"oci:{tmp_path}/layout:v1")
    assert (diff(root, pulled, 0) / "opt/file").read_text() == "by buildah"
    (loaded,) = provisioner.load(f"{tmp_path}/docker.tar")
    assert loaded.config["Cmd"] == pulled.config["Cmd"] == ["/opt/file"]


def test_cut_archives_are_refused(provisioner: Provisioner, saved: str) -> None:
    content = Path(saved).read_bytes()
    for length in (0, 100, 512, 1000, len(content) // 2):
        Path(saved).write_bytes(content[:length])
        with pytest.raises(ProvisionerError):
            provisioner.load(saved)
    assert provisioner.images() == []
