"""What shells are told may follow, and that they understand what they are given."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from containerizer import record
from containerizer.cli import complete, completion
from containerizer.cli.complete import FILES
from containerizer.paths import Paths
from containerizer.record import ContainerRecord

NAMES = ("web", "web.db", "wide", "other")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[complete.Place]:
    place = complete.Place(str(tmp_path / "root"), str(tmp_path / "state"))
    for name in NAMES:
        record.reserve(Paths.of(place.root, place.state), ContainerRecord(container_id=name, image="busybox"))
    yield place


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("ru", ["run"]),
        ("pa", ["pause"]),
        ("--st", ["--state"]),
        ("--root ", [FILES]),
        ("--root=x --debug insp", ["inspect"]),
        ("nonsense ", []),
        ("complete ", []),
        ("run --pull ", ["always", "missing", "never"]),
        ("run --memory-s", ["--memory-swap"]),
        ("run -m 1g --read", ["--read-only"]),
        ("run --cap-add NET_", ["NET_ADMIN", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_RAW"]),
        ("run --isolation namespaces/pid,namespaces/ut", ["namespaces/pid,namespaces/uts"]),
        ("run --network container:w", ["container:web", "container:web.db", "container:wide"]),
        ("run oc", ["oci-archive:", "oci:"]),
        ("run busybox ", [FILES]),
        ("run busybox ls --", [FILES]),
        ("exec w", ["web", "web.db", "wide"]),
        ("exec -it web ", [FILES]),
        ("rm web o", ["other"]),
        ("network cre", ["create"]),
        ("network nonsense ", []),
        ("network create --int", ["--internal"]),
        ("images prune --he", ["--headroom", "--help"]),
        ("kill -s SIGKI", ["SIGKILL"]),
        ("pod run ", [FILES]),
        ("completion ", ["bash", "fish", "zsh"]),
    ],
)
def test_what_may_follow(place: complete.Place, line: str, found: list[str]) -> None:
    assert list(complete.candidates(line.split(" "), place)) == found


def test_hidden_commands_and_options_are_not_told(place: complete.Place) -> None:
    assert {"complete", "reap"}.isdisjoint(complete.candidates([""], place))
    assert "--watched" not in list(complete.candidates(["pod", "run", "--"], place))


def test_with_an_agent_there_are_fewer_commands(place: complete.Place) -> None:
    told = list(complete.candidates(["--agent", "unix:///x", ""], place))
    assert "ps" in told and "doctor" not in told


def test_a_command_that_is_none(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "containerizer", "complete", "--", "--sta"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "--state\n", "")


# What the shells make of it ----------------------------------------------------------------------


@pytest.fixture
def command(tmp_path: Path, place: complete.Place) -> Path:
    """A directory with a `containerizer` of this checkout."""
    program = tmp_path / "bin" / "containerizer"
    program.parent.mkdir()
    options = f"--root {place.root} --state {place.state}"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m containerizer {options} "$@"\n')
    program.chmod(0o755)
    return program.parent


def in_shell(shell: str, script: str, command: Path) -> list[str]:
    environment = {"PATH": f"{command}:/usr/bin:/bin", "HOME": str(command), "TERM": "dumb"}
    done = subprocess.run([shell, "-c", script], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("containerizer exec w", ["web", "web.db", "wide"]),
        ("containerizer exec ", ["other", "web", "web.db", "wide"]),
        ("containerizer run --network container:wi", ["wide"]),  # the shell's word begins after the colon
        ("containerizer run oci-arch", ["oci-archive:"]),
    ],
)
def test_bash(command: Path, line: str, found: list[str]) -> None:
    script = f"""
    compopt() {{ :; }}
    source <(containerizer completion bash)
    COMP_WORDBREAKS=' :=' COMP_LINE={line!r} COMP_POINT={len(line)}
    _containerizer && printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    assert in_shell("bash", script, command) == found


@pytest.mark.requires("fish")
@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("containerizer exec w", ["web", "web.db", "wide"]),
        ("containerizer cp o", ["other:"]),
        ("containerizer run --network container:wi", ["container:wide"]),
    ],
)
def test_fish(command: Path, line: str, found: list[str]) -> None:
    script = f"containerizer completion fish | source; complete -C '{line}'"
    assert in_shell("fish", script, command) == found


@pytest.mark.requires("zsh")
def test_zsh(command: Path) -> None:
    """At a terminal, as a person has it: what stands in the line after the key."""
    (command / ".zshrc").write_text("PS1='ready>'; autoload -Uz compinit; compinit -u; unsetopt beep\n")
    environment = {"PATH": f"{command}:/usr/bin:/bin", "HOME": str(command), "TERM": "dumb"}
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve("/usr/bin/zsh", ["zsh", "-i"], environment)
    try:
        until(terminal, "ready>")
        os.write(terminal, b"source <(containerizer completion zsh)\n")
        until(terminal, "ready>")
        os.write(terminal, b"containerizer exec o\t")
        until(terminal, "other ")
        os.write(terminal, b"\x15containerizer cp o\tx")  # nothing is in the way of a path
        until(terminal, "cp other:x")
        os.write(terminal, b"\x15containerizer exec w\t\t")
        until(terminal, "web.db", "wide")
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)


def until(terminal: int, *wanted: str) -> None:
    """Read until all of this has been there, in this order."""
    shown = ""
    while not re.search(".*".join(map(re.escape, wanted)), shown, re.DOTALL):
        assert select.select([terminal], [], [], 60)[0], shown
        shown += os.read(terminal, 1 << 16).decode("utf-8", "replace").replace("\b", "")


def test_scripts_are_for_shells_that_are_offered(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(completion.SCRIPTS) == {"bash", "fish", "zsh"}
