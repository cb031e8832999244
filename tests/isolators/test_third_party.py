"""The example package of docs/examples, installed as a user would, and run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import images

EXAMPLE = Path(__file__).parents[2] / "docs/examples/containerizer-greeting"
BASE = "filesystem/linux,docker/runtime,namespaces/pid"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where it is, for PYTHONPATH: the environment of these tests stays as it is."""
    source = tmp_path_factory.mktemp("source") / "example"
    target = tmp_path_factory.mktemp("target")
    shutil.copytree(EXAMPLE, source)  # for a build leaves files behind
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--target", str(target)]
    done = subprocess.run([*pip, *options, str(source)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return str(target)


def command(
    installed: str, tmp_path: Path, *arguments: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    directories = ["--root", str(tmp_path / "root"), "--state", str(tmp_path / "state")]
    return subprocess.run(
        [sys.executable, "-m", "containerizer", *directories, *arguments],
        env={**os.environ, "PYTHONPATH": installed, **variables},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_it_is_listed_with_what_it_needs(installed: str, tmp_path: Path) -> None:
    lines = command(installed, tmp_path, "isolators").stdout.splitlines()
    (line,) = (line for line in lines if line.startswith("example/greeting "))
    assert "a place for notes, filesystem/linux" in line
    assert "greets who logs in" in line


def _busybox(directory: Path) -> str:
    images.write_layout([("latest", images.busybox())], directory / "layout")
    return f"oci:{directory}/layout:latest"


@pytest.mark.requires("root", "overlay", "busybox")
def test_its_isolator_works_like_one_of_ours(installed: str, tmp_path: Path) -> None:
    archive = _busybox(tmp_path)
    run = ("run", "--rm", "--name", "web", "--isolation", f"{BASE},example/greeting")
    greeted = command(
        installed, tmp_path, *run, "-e", "GREETING=hello", archive, "/bin/busybox", "cat", "/etc/motd"
    )
    assert greeted.stdout == "hello to web\n", greeted.stderr
    assert not (tmp_path / "state" / "greetings").exists()
    refused = command(installed, tmp_path, *run, "-e", f"GREETING={'x' * 2000}", archive, "true")
    assert (refused.returncode, "has 2000 characters" in refused.stderr) == (125, True)
    without = ("run", "--rm", "--isolation", "docker/runtime,example/greeting", archive, "true")
    assert "example/greeting requires filesystem/linux" in command(installed, tmp_path, *without).stderr


@pytest.mark.requires("root", "overlay", "busybox")
def test_its_hook_is_called_before_launch_and_after_the_end(installed: str, tmp_path: Path) -> None:
    archive, journal = _busybox(tmp_path), tmp_path / "journal"
    run = ("run", "--rm", "--name", "web", "--isolation", f"{BASE},hooks/python")
    told = {"CONTAINERIZER_JOURNAL": str(journal)}
    done = command(installed, tmp_path, *run, archive, "/bin/busybox", "env", **told)
    assert "JOURNAL=web" in done.stdout.splitlines(), done.stderr
    assert journal.read_text().splitlines() == ["launching web", "gone web"]
    refused = command(installed, tmp_path, *run, "-u", "nobody", archive, "true", **told)
    assert (refused.returncode, "nobody is not to run" in refused.stderr) == (125, True)
    assert "hooks/python" in refused.stderr
    assert journal.read_text().splitlines()[2:] == ["gone web"]


@pytest.mark.requires("root", "overlay", "busybox")
def test_its_resolver_has_secrets(installed: str, tmp_path: Path) -> None:
    archive, vault = _busybox(tmp_path), tmp_path / "vault"
    vault.write_text("database.password=hunter2\n")
    told = {"CONTAINERIZER_VAULT": str(vault)}
    run = ("run", "--rm", "--secret-resolver", "vault")
    asked = (
        *run,
        "--secret",
        "database,key=password",
        archive,
        "/bin/busybox",
        "cat",
        "/run/secrets/database",
    )
    assert command(installed, tmp_path, *asked, **told).stdout == "hunter2"
    refused = command(installed, tmp_path, *run, "--secret", "other", archive, "true", **told)
    assert "resolver vault has no secret other: the vault has no other" in refused.stderr
    without = command(installed, tmp_path, *run, "--secret", "other", archive, "true")
    assert "resolver vault failed for the secret other: KeyError" in without.stderr
    unknown = ("run", "--rm", "--secret-resolver", "safe", "--secret", "a", archive, "true")
    assert "there are file, environment, command, vault" in command(installed, tmp_path, *unknown).stderr
