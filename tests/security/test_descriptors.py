"""Descriptors of the host's that a task could have kept, and working directories by way of them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Cli
from tests.security.conftest import Build, running
from tests.support import images

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox")

LIST = (
    "for file in /proc/self/fd/*; do echo ${file##*/}; done"  # the shell's own: 10 is its terminal, or none
)


@pytest.mark.parametrize("way", ["run", "image", "exec"])
def test_cve_2024_21626_a_working_directory_by_a_descriptor(
    cli: Cli, busybox: str, build: Build, way: str
) -> None:
    """Some descriptor of a directory of the host's is tried after the other as working directory."""
    with running(cli, busybox) as name:
        for number in range(3, 10) if way == "exec" else (3, 7, 8, 9):
            directory = f"/proc/self/fd/{number}"
            match way:
                case "run":
                    done = cli("run", "--rm", "-w", directory, busybox, "ls", "../../../../..")
                case "image":
                    if number not in (3, 7, 8):  # the published ones: an image each is slow
                        continue
                    linked = images.symlink("work", directory)
                    image = build(linked, WorkingDir="/work" if number == 3 else directory)
                    done = cli("run", "--rm", image, "ls", "../../../../..")
                case _:
                    done = cli("exec", "-w", directory, name, "ls", "../../../../..")
            assert done.returncode == 125, done.stdout
            assert "cannot enter the working directory" in done.stderr


@pytest.mark.parametrize("options", [(), ("--init",), ("-i",), ("--userns", "auto")], ids=" ".join)
def test_a_task_has_three_descriptors(
    cli: Cli, busybox: str, tmp_path: Path, options: tuple[str, ...]
) -> None:
    """Also where the launcher was given others, as by a shell: `containerizer run … 3< /`."""
    given = [os.open(path, os.O_RDONLY) for path in ("/", str(tmp_path))]
    try:
        argv = [*cli.argv, "run", "--rm", *options, busybox, "sh", "-c", LIST]
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=60, pass_fds=given, stdin=subprocess.DEVNULL
        )
        assert done.returncode == 0, done.stderr
        assert len({int(line) for line in done.stdout.split()} - {0, 1, 2}) <= 1, "the shell lists by one"
    finally:
        for descriptor in given:
            os.close(descriptor)


def test_a_further_command_has_three_descriptors(cli: Cli, busybox: str) -> None:
    with running(cli, busybox) as name:
        descriptor = os.open("/", os.O_RDONLY)
        try:
            argv = [*cli.argv, "exec", name, "sh", "-c", LIST]
            done = subprocess.run(
                argv, capture_output=True, text=True, pass_fds=[descriptor], stdin=subprocess.DEVNULL
            )
        finally:
            os.close(descriptor)
    assert len({int(line) for line in done.stdout.split()} - {0, 1, 2}) <= 1, done.stdout
