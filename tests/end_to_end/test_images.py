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
def test_a_saved_image_is_loaded_and_run(cli: Cli, layout: str, tmp_path: Path) -> None:
    assert cli("pull", layout).returncode == 0
    assert cli("save", "-o", f"{tmp_path}/saved.tar", layout).returncode == 0
    other = Cli(tmp_path / "other", cli.state)
    loaded = json.loads(other("load", "-i", f"{tmp_path}/saved.tar", "-t", "saved:v1", "--json").stdout)
    assert [image["reference"] for image in loaded] == ["docker.io/library/saved:v1"]
    done = other("run", "--rm", "--pull", "never", "saved:v1", "echo", "from an archive")
    assert (done.stdout, done.stderr) == ("from an archive\n", "")


def test_archives_go_through_pipes(cli: Cli, layout: str, tmp_path: Path) -> None:
    cli("pull", layout)
    other = Cli(tmp_path / "other", cli.state)
    with subprocess.Popen([*cli.argv, "save", "--gzip", layout], stdout=subprocess.PIPE) as save:
        load = subprocess.run(
            [*other.argv, "load"], stdin=save.stdout, capture_output=True, text=True, timeout=60
        )
    assert (save.returncode, load.returncode, load.stderr) == (0, 0, "")
    assert load.stdout.startswith("localhost/loaded:")


def test_what_cannot_be_loaded_or_saved(cli: Cli, layout: str, tmp_path: Path) -> None:
    assert "no image" in cli("save", "-o", f"{tmp_path}/x", "absent").stderr
    assert not (tmp_path / "x").exists()
    assert "holds no images" in cli("load", stdin="").stderr
    assert "name it with --output" in cli("save", "--format", "oci-dir", "absent").stderr
