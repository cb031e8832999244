"""`import`: a tar archive of files becomes an image."""

from __future__ import annotations

import gzip
import json
import subprocess
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Cli
from tests.support import images

pytestmark = pytest.mark.requires("root", "overlay", "busybox")


def test_an_archive_becomes_an_image(fresh: Cli, tmp_path: Path) -> None:
    (layer,) = images.busybox().layers
    archive = tmp_path / "files.tar.gz"
    archive.write_bytes(gzip.compress(layer.archive))
    changes = ("-c", 'CMD ["sh", "-c", "echo $GREETING"]', "-c", "ENV GREETING=hello", "-m", "of my own")
    done = fresh("import", *changes, str(archive), "mine:v1")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("docker.io/library/mine:v1@sha256:")
    assert fresh("run", "--rm", "mine:v1").stdout == "hello\n"
    piped = subprocess.run([*fresh.argv, "import", "-", "mine:v2"], input=layer.archive, capture_output=True)
    assert (piped.returncode, piped.stderr) == (0, b"")
    one, two = (json.loads(fresh("inspect", name).stdout)[0] for name in ("mine:v1", "mine:v2"))
    assert one["layers"] == two["layers"] and one["config_digest"] != two["config_digest"]
    verified = json.loads(fresh("images", "verify", "--json").stdout)
    assert (verified["layers"], verified["damages"]) == (1, [])


@pytest.mark.parametrize(
    ("content", "options", "name", "told"),
    [
        (b"no archive", (), "x", "it has to be a tar archive of files"),
        (None, (), "x", "No such file"),
        (b"", (), "oci:x", "'oci:x' cannot name a new image"),
        (b"", ("-c", "FROM y"), "x", "FROM"),
        (b"", ("--platform", "linux"), "x", "invalid platform 'linux'"),
    ],
    ids=["no archive", "no file", "no name", "no change", "no platform"],
)
def test_what_cannot_become_one(
    fresh: Cli, tmp_path: Path, content: bytes | None, options: tuple[str, ...], name: str, told: str
) -> None:
    archive = tmp_path / "files.tar"
    if content is not None:
        archive.write_bytes(content.ljust(1024, b"\1") if content else content)
    done = fresh("import", *options, str(archive), name)
    assert done.returncode == 125 and told in done.stderr and len(done.stderr.splitlines()) == 1
    assert json.loads(fresh("images", "--json").stdout) == []
