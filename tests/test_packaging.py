"""What is shipped: a wheel has all that runs, and runs."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("containerizer", "isolators", "provisioner", "launcher")
NOT_SHIPPED = (".proto", ".license")  # sources of what is


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """Made of what git knows, as a release is."""
    source = tmp_path / "source"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("not in a clone")
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).exists() and name.split("/")[0] in (
            *PACKAGES,
            "pyproject.toml",
            "README.md",
            "LICENSE",
        ):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    argv = ["pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path), "."]
    done = subprocess.run([sys.executable, "-m", *argv], cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (made,) = tmp_path.glob("*.whl")
    return made


def test_a_wheel_has_everything_and_runs(wheel: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    files = {
        str(path.relative_to(source))
        for each in PACKAGES
        for path in (source / each).rglob("*")
        if path.is_file()
    }
    wanted = {name for name in files if not name.endswith(NOT_SHIPPED)}
    with zipfile.ZipFile(wheel) as archive:
        shipped = set(archive.namelist())
        archive.extractall(tmp_path / "installed")
    assert wanted - shipped == set()
    assert {name.split("/")[0] for name in shipped if not name.startswith("containerizer-")} == set(PACKAGES)
    assert all(f"{package}/py.typed" in shipped for package in PACKAGES), "type information"
    script = """
import sys
sys.path.insert(0, sys.argv.pop(1))
from containerizer.__main__ import command
command()
"""
    argv = [sys.executable, "-c", script, str(tmp_path / "installed"), "isolators", "--format", "{{.name}}"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and "cgroups/mem\n" in done.stdout, done.stderr
