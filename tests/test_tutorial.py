"""docs/tutorial.md, as somebody would type it: every command runs, and says what the page says."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Cli
from tests.support import images
from tests.support.netns import HostNetwork, host_network
from tests.support.pages import STAND_IN, Shell, blocks, check, commands
from tests.support.registry import Registry

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox", "cgroup", "nftables")

PAGE = Path(__file__).resolve().parent.parent / "docs" / "tutorial.md"
SOCKET = "/run/containerizer/agent.sock"


@pytest.fixture
def network() -> Iterator[HostNetwork]:
    with host_network() as made:
        yield made


def test_the_tutorial(tmp_path: Path, network: HostNetwork) -> None:
    """In a network of the test's own; the registry is where the first step is."""
    here = tmp_path / "here"
    here.mkdir()
    cli = Cli(tmp_path / "root", tmp_path / "state")
    program = here / "containerizer"
    options = f"--root {cli.root} --state {cli.state}"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m containerizer {options} "$@"\n')
    program.chmod(0o755)
    with Registry.start(tmp_path / "registry") as registry:
        images.push(images.busybox(), registry.host, "busybox", "latest")
        assert cli("pull", f"{registry.host}/busybox").returncode == 0
        replaced = {STAND_IN: registry.host, SOCKET: f"{cli.state}/agent.sock"}
        first, *rest = [list(commands(block)) for block in blocks(PAGE)]
        shell = Shell(here, replaced, ())
        check(shell, first)
        shell.close()
        shell = Shell(here, replaced, network.within)
        try:
            for block in rest:
                check(shell, block)
        finally:
            shell.close()
            for container in reversed(cli.containers()):
                cli("rm", "-f", str(container["id"]))
    assert cli.left() == []
