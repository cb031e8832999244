"""Commands on images: load, save, list."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Cli
from tests.support import images

pytestmark = pytest.mark.requires("root", "busybox")


@pytest.fixture
def layout(tmp_path: Path) -> str:
    return f"oci:{images.write_layout([('v1', images.busybox())], tmp_path / 'layout')}:v1"


@pytest.mark.requires("overlay", "cgroup")
def test_a_saved_image_is_loaded_and_run(fresh: Cli, layout: str, tmp_path: Path) -> None:
    assert fresh("pull", layout).returncode == 0
    assert fresh("save", "-o", f"{tmp_path}/saved.tar", layout).returncode == 0
    other = Cli(tmp_path / "other", fresh.state)
    loaded = json.loads(other("load", "-i", f"{tmp_path}/saved.tar", "-t", "saved:v1", "--json").stdout)
    assert [image["reference"] for image in loaded] == ["docker.io/library/saved:v1"]
    done = other("run", "--rm", "--pull", "never", "saved:v1", "echo", "from an archive")
    assert (done.stdout, done.stderr) == ("from an archive\n", "")


@pytest.mark.requires("overlay", "cgroup")
def test_an_aci_is_run(fresh: Cli, tmp_path: Path) -> None:
    (base,) = images.busybox().layers
    app = {
        "exec": ["/bin/sh", "-c", "id -u; pwd; echo $A"],
        "user": "5",
        "group": "6",
        "workingDirectory": "/tmp",
    }
    app |= {"environment": [{"name": "A", "value": "from the manifest"}]}
    manifest = {"acKind": "ImageManifest", "acVersion": "0.8.0", "name": "example.com/app", "app": app}
    (tmp_path / "manifest").write_text(json.dumps(manifest))
    (tmp_path / "rootfs").mkdir()
    (tmp_path / "base.tar").write_bytes(base.archive)
    subprocess.run(["tar", "-C", tmp_path / "rootfs", "-xf", tmp_path / "base.tar"], check=True)
    subprocess.run(["tar", "-C", tmp_path, "-czf", tmp_path / "app.aci", "manifest", "rootfs"], check=True)
    done = fresh("run", "--rm", f"appc:{tmp_path}/app.aci")
    assert (done.stdout, done.stderr) == ("5\n/tmp\nfrom the manifest\n", "")


def test_saving_replaces_a_file_but_no_directory(fresh: Cli, layout: str, tmp_path: Path) -> None:
    """As `docker save` does; but a save that fails leaves the file as it was, and a directory is no file."""
    saved, full = tmp_path / "saved.tar", tmp_path / "full"
    saved.write_text("precious")
    full.mkdir()
    (full / "precious").touch()
    assert "no image" in fresh("save", "-o", str(saved), layout).stderr
    assert saved.read_text() == "precious"
    fresh("pull", layout)
    assert fresh("save", "-o", str(saved), layout).returncode == 0
    assert fresh("load", "-i", str(saved)).returncode == 0
    done = fresh("save", "--format", "oci-dir", "-o", str(full), layout)
    assert done.returncode == 125 and "not empty" in done.stderr.lower()
    assert [path.name for path in full.iterdir()] == ["precious"]
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.endswith(".new")) == []


def test_archives_go_through_pipes(fresh: Cli, layout: str, tmp_path: Path) -> None:
    fresh("pull", layout)
    other = Cli(tmp_path / "other", fresh.state)
    with subprocess.Popen([*fresh.argv, "save", "--gzip", layout], stdout=subprocess.PIPE) as save:
        load = subprocess.run(
            [*other.argv, "load"], stdin=save.stdout, capture_output=True, text=True, timeout=60
        )
    assert (save.returncode, load.returncode) == (0, 0)
    assert load.stdout.startswith("localhost/loaded:")


@pytest.mark.requires("overlay", "cgroup")
def test_list_verify_and_prune(fresh: Cli, layout: str) -> None:
    fresh("run", "--name", "user", layout, "true")
    (listed,) = json.loads(fresh("images", "--json").stdout)
    assert (listed["reference"], listed["shared_size"], listed["containers"]) == (layout, 0, ["user"])
    assert fresh("images").stdout.splitlines()[0].split() == [
        "IMAGE",
        "DIGEST",
        "PLATFORM",
        "SIZE",
        "SHARED",
        "USED",
    ]
    assert fresh("images", "-q").stdout == f"{listed['digest']}\n"
    assert json.loads(fresh("images", "verify", "--json").stdout)["damages"] == []
    assert json.loads(fresh("images", "prune", "--all", "--json").stdout)["images"] == []
    fresh("rm", "user")
    assert fresh("images", "prune", "--older-than", "1h", "--exclude", layout).stdout == "freed 0 B\n"
    (layer,) = (fresh.root / "store/layers/sha256").iterdir()
    (layer / "diff/bin/busybox").write_bytes(b"changed")
    damaged = fresh("images", "verify")
    assert damaged.returncode == 125 and "has changed" in damaged.stdout
    assert fresh("images", "prune", "-a").stdout.startswith(f"{layout}\nfreed ")
    assert json.loads(fresh("images", "--json").stdout) == []


def test_options_of_prune(fresh: Cli) -> None:
    assert "invalid age 'x'" in fresh("images", "prune", "--older-than", "x").stderr
    assert "invalid --headroom" in fresh("images", "prune", "--headroom", "2").stderr
    assert "invalid --image-disk-headroom" in fresh("pull", "--image-disk-headroom", "-1", "host").stderr
    assert fresh("images", "prune", "--headroom", "0.1").stdout == "freed 0 B\n"


def test_what_cannot_be_loaded_or_saved(fresh: Cli, layout: str, tmp_path: Path) -> None:
    assert "no image" in fresh("save", "-o", f"{tmp_path}/x", "absent").stderr
    assert not (tmp_path / "x").exists()
    assert "holds no images" in fresh("load", stdin="").stderr
    assert "name it with --output" in fresh("save", "--format", "oci-dir", "absent").stderr


@pytest.mark.requires("overlay", "cgroup")
def test_a_pull_makes_room_if_it_is_told_to(fresh: Cli, tmp_path: Path) -> None:
    """Of a disk that is to be all free, each image goes that nobody uses."""
    tagged = [(tag, images.busybox({"Env": [f"A={tag}"]})) for tag in "abc"]
    path = f"oci:{images.write_layout(tagged, tmp_path / 'three')}"
    room = ("--image-disk-headroom", "1")

    def left() -> list[str]:
        return [image["reference"][-1] for image in json.loads(fresh("images", "--json").stdout)]

    assert fresh("pull", f"{path}:a").returncode == 0
    done = fresh("pull", *room, "--exclude-image", f"{path}:a", f"{path}:b", f"{path}:c")
    assert left() == ["a", "c"] and "to make room" in done.stderr
    assert fresh("run", "--rm", f"{path}:b", "true").returncode == 0
    assert left() == ["a", "b", "c"]
    assert fresh("run", "--rm", *room, f"{path}:b", "true").returncode == 0
    assert left() == ["a", "b", "c"], "nothing was pulled"
    assert fresh("run", "--rm", "--pull", "always", *room, f"{path}:b", "true").returncode == 0
    assert left() == ["b"]


def test_what_an_image_calls_itself_fills_no_screens(fresh: Cli, tmp_path: Path) -> None:
    parts = images.image(*images.busybox().layers, platform=f"\x1b[2j{'x' * 100_000}/y")
    refused = fresh("pull", f"oci:{images.write_layout([('', parts)], tmp_path / 'layout')}")
    assert refused.returncode == 125 and "\x1b" not in refused.stderr
    assert "is for \\x1b[2jxx" in refused.stderr and refused.stderr.rstrip().endswith("xx/y")
    assert len(refused.stderr) < 4000
