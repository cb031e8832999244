"""docs/tutorial.md, as somebody would type it: every command runs, and says what the page says."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Cli
from tests.support import images
from tests.support.netns import HostNetwork, host_network
from tests.support.registry import Registry

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox", "cgroup", "nftables")

PAGE = Path(__file__).resolve().parent.parent / "docs" / "tutorial.md"
STAND_IN = "registry.local:5000"
SOCKET = "/run/containerizer/agent.sock"
TIMEOUT = 120  # seconds until a block counts as hung


def blocks() -> list[str]:
    return re.findall(r"```console\n(.*?)```", PAGE.read_text(), re.DOTALL)


def commands(block: str) -> Iterator[tuple[str, str]]:
    """Each with what it has to print. A here-document goes with its command."""
    parts = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    for part in parts:
        command, _, output = part.partition("\n")
        if command.endswith("<<END"):
            body, _, output = output.partition("END\n")
            command = f"{command}\n{body}END"
        yield command, output


class Shell:
    """One bash for the whole page, so that $? and jobs are as they would be."""

    def __init__(self, directory: Path, replaced: dict[str, str], prefix: tuple[str, ...]) -> None:
        self._replaced = replaced
        environment = {**os.environ, "PATH": f"{directory}:{os.environ['PATH']}"}
        self._process = subprocess.Popen(
            [*prefix, "bash"],
            cwd=directory,
            env=environment,
            text=True,
            bufsize=1,
            start_new_session=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def run(self, command: str) -> str:
        for shown, real in self._replaced.items():
            command = command.replace(shown, real)
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{command}\n__code=$?; echo __end__; (exit $__code)\n")
        self._process.stdin.flush()
        lines = []
        for line in self._process.stdout:
            if line.endswith("__end__\n"):
                output = "".join([*lines, line.removesuffix("__end__\n")])
                for shown, real in self._replaced.items():
                    output = output.replace(real, shown)
                return output
            lines.append(line)
        raise AssertionError(f"the shell ended: {lines}")

    def close(self) -> None:
        """What it has left in the background ends with it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(TIMEOUT)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        assert self._process.stdout is not None
        self._process.stdout.close()


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
        first, *rest = [list(commands(block)) for block in blocks()]
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


def check(shell: Shell, block: list[tuple[str, str]]) -> None:
    for command, wanted in block:
        printed = shell.run(command)
        pattern = ".*".join(map(re.escape, wanted.split("…")))
        assert re.fullmatch(pattern, printed, re.DOTALL), f"$ {command}\n{printed}instead of\n{wanted}"
