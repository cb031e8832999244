"""Containers on each backend, made of images that only just fit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Cli
from tests.support import images
from tests.support.images import directory, entry, layer

pytestmark = pytest.mark.requires("root", "busybox", "overlay", "cgroup")

MANY = 250  # layers; a page of mount options has room for some 40


def layout(tmp_path: Path, *layers: images.Layer, config: dict[str, object] | None = None) -> str:
    parts = images.image(
        *images.busybox().layers, *layers, config={"Env": ["PATH=/bin"]} | dict(config or {})
    )
    return f"oci:{images.write_layout([('v1', parts)], tmp_path / 'layout')}:v1"


def run(cli: Cli, backend: str, *arguments: str) -> tuple[str, str]:
    done = cli("run", "--image-provisioner-backend", backend, *arguments)
    return done.stdout, done.stderr


@pytest.mark.parametrize("backend", ["overlay", "copy", "bind"])
def test_an_image_without_etc_hostname(fresh: Cli, tmp_path: Path, backend: str) -> None:
    command = "hostname; cat /etc/hostname; head -c 4 /etc/passwd; touch /etc/own && echo; touch /usr/x 2>&1"
    found, error = run(fresh, backend, "--rm", "--hostname", "h", layout(tmp_path), "sh", "-c", command)
    refused = "touch: /usr/x: Read-only file system\n" if backend == "bind" else ""
    assert (found, error) == (f"h\nh\nroot\n{refused}", "")
    assert fresh("images", "verify").returncode == 0  # nothing of it came into the store


def test_bind_says_what_an_image_lacks(fresh: Cli, tmp_path: Path) -> None:
    parts = images.image(layer([directory("etc/"), directory("dev/")]))
    reference = f"oci:{images.write_layout([('', parts)], tmp_path / 'layout')}"
    _, error = run(fresh, "bind", reference, "true")
    assert "no directory /proc, /sys" in error and "overlay or the copy backend" in error


@pytest.mark.parametrize("backend", ["overlay", "copy"])
def test_more_layers_than_mount_options_have_room_for(fresh: Cli, tmp_path: Path, backend: str) -> None:
    layers = [
        layer([entry(f"n/{number}", b"%d\n" % number), entry("n/last", b"%d" % number)])
        for number in range(MANY)
    ]
    reference = layout(tmp_path, *layers)
    script = "cat /n/last; echo; ls /n | wc -l; cat /n/0 /n/120; echo mine > /n/0; cat /n/0"
    found, error = run(fresh, backend, "--rm", reference, "sh", "-c", script)
    assert (found.split(), error) == ([f"{MANY - 1}", f"{MANY + 1}", "0", "120", "mine"], "")


@pytest.mark.parametrize("backend", ["copy", "bind"])
def test_what_has_no_layer_of_its_own_is_not_committed(fresh: Cli, tmp_path: Path, backend: str) -> None:
    run(fresh, backend, "--name", "c", layout(tmp_path), "true")
    done = fresh("commit", "c", "made")
    message = "runs on a copy of its image" if backend == "copy" else "no writable layer"
    assert done.returncode == 125 and message in done.stderr
    fresh("rm", "c")


@pytest.mark.parametrize("backend", ["overlay", "copy"])
def test_a_volume_of_the_image_begins_with_its_content(fresh: Cli, tmp_path: Path, backend: str) -> None:
    own = layer([directory("data/", mode=0o750, uid=5), entry("data/file", b"of the image\n", uid=6)])
    reference = layout(tmp_path, own, config={"Volumes": {"/data": {}, "/new": {}}})
    script = (
        "stat -c %u:%a /data; stat -c %u /data/file; cat /data/file; ls /new; echo x > /data/file;"
        " grep -c ' /data ' /proc/self/mountinfo"
    )
    for _ in range(2):  # each container has one of its own
        found, error = run(fresh, backend, "--rm", reference, "sh", "-c", script)
        assert (found, error) == ("5:750\n6\nof the image\n1\n", "")
    assert json.loads(fresh("images", "verify", "--json").stdout)["damages"] == []
