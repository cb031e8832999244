"""Examples of the README and of the pages: each command works, in a network and a store of the test's own.

The tutorial has a test of its own, which looks at what is printed, too.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Cli
from tests.support import images
from tests.support.netns import HostNetwork, host_network
from tests.support.pages import STAND_IN, Shell, blocks

pytestmark = pytest.mark.requires("root", "overlay", "busybox", "cgroup", "nftables")

ROOT = Path(__file__).resolve().parent.parent

# The images of the examples, and what they run.
IMAGES = {
    f"{STAND_IN}/busybox": "CMD sh",
    "postgres": "CMD sleep 1000",
    "postgres:16": "CMD true",
    "nginx": "CMD sleep 1000",
}

# What is not run, by a part of it, and why.
ELSEWHERE = {
    "README.md": {
        "make ": "the tests run in what it has made",
        "export PATH": "so is the command",
        "alpine": "from the Internet",
        "doctor": "its exit code is about the host",
        "pull ": "the tutorial's test has a registry",
        "login": "asks a person",
        "-it": "at a terminal",
        "logs -f": "goes on for ever",
        "attach": "goes on for ever",
        "stats ": "goes on for ever",
        "events": "goes on for ever",
        "server.local": "a server of others",
        "appc:": "there is no such image",
        "pod run": "tests/end_to_end/test_pods.py runs it",
        "prune --all ": "asks a person",
        "stop -t 5 NAME": "NAME is for one",
    },
    "docs/networking.md": {},
    "docs/volumes.md": {},
}


@pytest.fixture
def network() -> Iterator[HostNetwork]:
    with host_network() as made:
        yield made


@pytest.fixture
def cli(tmp_path: Path, network: HostNetwork) -> Iterator[Cli]:
    command = Cli(tmp_path / "root", tmp_path / "state", within=network.within)
    yield command
    for container in reversed(command.containers()):
        command("rm", "-f", "-v", str(container["id"]))
    assert command.left() == []


@pytest.fixture
def shell(tmp_path: Path, cli: Cli) -> Iterator[Shell]:
    """In a directory where the command and what examples name are."""
    here = tmp_path / "here"
    here.mkdir()
    program = here / "containerizer"
    options = f"--root {cli.root} --state {cli.state}"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m containerizer {options} "$@"\n')
    program.chmod(0o755)
    (layer,) = images.busybox().layers
    (here / "files.tar.gz").write_bytes(layer.blob)
    for name, change in IMAGES.items():
        assert cli("import", "-c", change, str(here / "files.tar.gz"), name).returncode == 0
    (here / "data").mkdir()
    started = Shell(here, {"/srv/data": str(here / "data")}, cli.within)
    yield started
    started.close()


def lines(page: str) -> Iterator[str]:
    """The commands, without those that are for elsewhere; each of these has to be on the page."""
    whole = [
        line
        for kind in ("sh", "console")
        for block in blocks(ROOT / page, kind)
        for line in block.splitlines()
    ]
    found = [re.split(r"\s+# ", line)[0].removeprefix("$ ") for line in whole]
    left_out = [part for part in ELSEWHERE[page] if not any(part in f"{line} " for line in found)]
    assert left_out == []
    return (line for line in found if not any(part in f"{line} " for part in ELSEWHERE[page]))


@pytest.mark.parametrize("page", ELSEWHERE)
def test_examples(page: str, shell: Shell) -> None:
    wrong = {}
    for line in lines(page):
        printed = shell.run(line if "|" in line else f"{line} </dev/null")
        if shell.run("echo $?") != "0\n":
            wrong[line] = printed
    assert wrong == {}
