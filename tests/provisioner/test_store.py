from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from launcher.remove_tree import remove_tree
from provisioner.errors import ImageInUse, ImageNotFound, InvalidReference
from provisioner.image import Image
from provisioner.layer.inherit import inherit
from provisioner.provisioner import Provisioner
from provisioner.store.ingest import Ingest
from provisioner.store.store import Store
from tests.support import images
from tests.support.images import entry, image, layer
from tests.support.registry import Registry

pytestmark = pytest.mark.requires("root")

ROOT = Path(__file__).resolve().parents[2]
BASE = layer([entry("base", b"1")])
TOP = layer([entry("top", b"2")])


@pytest.fixture
def layout(tmp_path: Path) -> str:
    """`base` and `both` share a layer."""
    path = images.write_layout([("base", image(BASE)), ("both", image(BASE, TOP))], tmp_path / "layout")
    return f"oci:{path}"


def layers_in(root: Path) -> set[str]:
    return {f"sha256:{name}" for name in os.listdir(root / "store/layers/sha256")}


# Removing.


def test_removing_deletes_what_nobody_else_uses(provisioner: Provisioner, root: Path, layout: str) -> None:
    base, both = provisioner.pull(f"{layout}:base"), provisioner.pull(f"{layout}:both")
    assert provisioner.remove(f"{layout}:both") == both
    assert layers_in(root) == set(base.layers)
    assert provisioner.remove(f"{layout}:base") == base
    assert layers_in(root) == set()
    assert os.listdir(root / "store/refs") == os.listdir(root / "store/blobs/sha256") == []
    assert os.listdir(root / "store/ingest") == []


def test_removing_by_digest(provisioner: Provisioner, layout: str) -> None:
    base, both = provisioner.pull(f"{layout}:base"), provisioner.pull(f"{layout}:both")
    assert provisioner.remove(base.digest[: len("sha256:") + 12]) == base
    assert provisioner.remove(both.config_digest.removeprefix("sha256:")[:12]) == both


def test_ambiguous_and_unknown_names(provisioner: Provisioner, layout: str) -> None:
    with pytest.raises(ImageNotFound, match="no image 'busybox' in the store"):
        provisioner.remove("busybox")
    base = provisioner.pull(f"{layout}:base")
    record = base.to_json() | {"reference": "docker.io/library/twin:latest"}
    Store(provisioner._store.paths.root).publish(Image.from_json(record))
    with pytest.raises(InvalidReference, match=r"several images: docker\.io/library/twin:latest, oci:"):
        provisioner.remove(base.digest)
    for unknown in ("busybox", "sha256:0123456789ab", "0123456789ab"):
        with pytest.raises(ImageNotFound, match="in the store"):
            provisioner.remove(unknown)
    with pytest.raises(InvalidReference):
        provisioner.remove("NOT A NAME")
    provisioner.remove("twin")
    assert provisioner.images() == [base]


def test_image_in_use_is_kept(provisioner: Provisioner, root: Path, layout: str, tmp_path: Path) -> None:
    both = provisioner.pull(f"{layout}:both")
    directory = tmp_path / "container"
    directory.mkdir()
    provisioner.provision(both, "web.nginx", str(directory))
    with pytest.raises(ImageInUse, match=r"in use by container web\.nginx"):
        provisioner.remove(f"{layout}:both")
    provisioner.destroy("web.nginx", str(directory))
    provisioner.destroy("web.nginx", str(directory))
    assert os.listdir(directory) == [] and os.listdir(root / "store/leases") == []
    provisioner.remove(f"{layout}:both")


def test_a_name_that_moved_on_keeps_the_layers_of_its_containers(
    provisioner: Provisioner, root: Path, tmp_path: Path
) -> None:
    path = tmp_path / "layout"
    (tmp_path / "container").mkdir()
    images.write_layout([("", image(BASE))], path)
    old = provisioner.pull(f"oci:{path}")
    provisioner.provision(old, "c", str(tmp_path / "container"))
    images.write_layout([("", image(TOP))], path)
    new = provisioner.pull(f"oci:{path}")
    assert layers_in(root) == {*old.layers, *new.layers}
    provisioner.destroy("c", str(tmp_path / "container"))
    images.write_layout([("", image(BASE, TOP))], path)
    newest = provisioner.pull(f"oci:{path}")
    assert layers_in(root) == set(newest.layers)


def test_provisioning_a_removed_image(provisioner: Provisioner, layout: str, tmp_path: Path) -> None:
    base = provisioner.pull(f"{layout}:base")
    provisioner.remove(f"{layout}:base")
    with pytest.raises(ImageNotFound, match="is not in the store") as caught:
        provisioner.provision(base, "c", str(tmp_path))
    assert caught.value.hint == "pull the image again"


def test_deeply_nested_containers_have_leases(
    provisioner: Provisioner, root: Path, layout: str, tmp_path: Path
) -> None:
    base = provisioner.pull(f"{layout}:base")
    container = ".".join(["n" * 64] * 32)
    (tmp_path / "container").mkdir()
    provisioner.provision(base, container, str(tmp_path / "container"))
    with pytest.raises(ImageInUse, match=container):
        provisioner.remove(f"{layout}:base")
    provisioner.destroy(container, str(tmp_path / "container"))
    assert os.listdir(root / "store/leases") == []


# What killed processes leave.


def test_leftovers_of_a_killed_pull_are_swept(provisioner: Provisioner, root: Path, layout: str) -> None:
    dead = root / "store/ingest/dead/0/diff/deep"
    dead.mkdir(parents=True)
    lock = root / "store/locks/sha256-0"
    lock.parent.mkdir()
    lock.touch()
    alive = root / "store/ingest/alive"
    alive.mkdir()
    fd = os.open(alive, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        provisioner.pull(f"{layout}:base")
        assert os.listdir(root / "store/ingest") == ["alive"]
        assert not lock.exists()
    finally:
        os.close(fd)
    provisioner.pull(f"{layout}:base")
    assert os.listdir(root / "store/ingest") == []


def test_claim_of_a_pull_at_work_keeps_its_layers(provisioner: Provisioner, root: Path, layout: str) -> None:
    base = provisioner.pull(f"{layout}:base")
    with Ingest(Store(f"{root}/store").paths) as ingest:
        ingest.claim(base.layers, [])
        provisioner.remove(f"{layout}:base")
        assert layers_in(root) == set(base.layers)
    provisioner.pull(f"{layout}:both")
    provisioner.remove(f"{layout}:both")
    assert layers_in(root) == set()


def test_torn_records_count_as_absent(provisioner: Provisioner, root: Path, layout: str) -> None:
    provisioner.pull(f"{layout}:base")
    (record,) = (root / "store/refs").rglob("*.json")
    record.write_bytes(record.read_bytes()[:-9])
    assert provisioner.images() == []
    with pytest.raises(ImageNotFound):
        provisioner.pull(f"{layout}:base", policy="never")
    provisioner.pull(f"{layout}:base", policy="missing")
    assert len(provisioner.images()) == 1


def test_a_tree_of_any_depth_is_removed(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/kept").touch()
    fd = os.open(top, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=fd)
        os.symlink(tmp_path / "outside", "link", dir_fd=fd)
        child = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = child
    os.close(fd)
    remove_tree(str(top))
    remove_tree(str(top))
    assert not top.exists() and (tmp_path / "outside/kept").exists()


# Several processes.

PULL = """
import sys
from provisioner.provisioner import Provisioner
sys.stdin.readline()
print(Provisioner(sys.argv[1]).pull(sys.argv[2]).digest)
"""


@pytest.mark.requires("registry")
def test_two_processes_pull_one_image_into_one_whole_store(root: Path, registry: Registry) -> None:
    parts = image(*(layer([entry(f"f{n}", os.urandom(200_000))]) for n in range(5)))
    digest = images.push(parts, registry.host, "twice", "latest")
    command = [sys.executable, "-c", PULL, str(root), f"{registry.host}/twice"]
    pulls = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for pull in pulls:  # both have started, and now go
        assert pull.stdin is not None
        pull.stdin.write("\n")
        pull.stdin.flush()
    assert [pull.communicate(timeout=60)[0].strip() for pull in pulls] == [digest, digest]
    provisioner = Provisioner(str(root))
    (pulled,) = provisioner.images()
    assert layers_in(root) == set(pulled.layers)
    for index, key in enumerate(pulled.layers):
        assert (root / "store/layers" / key.replace(":", "/") / f"diff/f{index}").stat().st_size == 200_000
    assert os.listdir(root / "store/ingest") == os.listdir(root / "store/locks") == []


def test_who_waits_for_a_layer_finds_it_there(provisioner: Provisioner, root: Path, layout: str) -> None:
    key = images.digest(BASE.archive)
    store = Store(f"{root}/store")
    lock = Path(store.paths.layer_lock(key))
    lock.parent.mkdir(parents=True)
    waiting, phases = threading.Event(), []

    def progress(layer: str, phase: str, done: int, total: int) -> None:
        phases.append(phase)
        waiting.set()

    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        pull = threading.Thread(
            target=provisioner.pull, args=[f"{layout}:base"], kwargs={"progress": progress}
        )
        pull.start()
        assert waiting.wait(60)
        with Ingest(store.paths) as ingest:
            ingest.claim([key], [])
            staged = ingest.stage("0")
            inherit(f"{staged}/diff", [b""], [])
            ingest.commit(staged, key, 1)
        lock.unlink()
    pull.join(60)
    assert phases == ["waiting", "exists"]
    assert provisioner.images()[0].layers == (key,)


# A cached image is light.

CACHED = """
import json, sys
from provisioner.provisioner import Provisioner
p = Provisioner(sys.argv[1])
image = p.pull(sys.argv[2], policy="missing")
p.provision(image, "c", sys.argv[3])
p.destroy("c", sys.argv[3])
print(json.dumps(sorted(sys.modules)))
"""
HEAVY = {
    *("requests", "urllib3", "http", "ssl", "socket", "zstandard", "zlib", "hashlib", "subprocess", "ctypes"),
    *("concurrent", "concurrent.futures", "threading", "logging", "tempfile", "shutil", "urllib"),
}


def test_a_cached_image_imports_nothing_heavy(
    provisioner: Provisioner, root: Path, layout: str, tmp_path: Path
) -> None:
    provisioner.pull(f"{layout}:base")
    (tmp_path / "container").mkdir()
    command = [sys.executable, "-S", "-c", CACHED, str(root), f"{layout}:base", str(tmp_path / "container")]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert HEAVY.isdisjoint(json.loads(done.stdout))
