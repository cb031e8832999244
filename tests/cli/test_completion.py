"""What shells are told may follow, and that they understand what they are given."""

from __future__ import annotations

import shutil
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


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish(command: Path) -> None:
    script = "containerizer completion fish | source; complete -C 'containerizer exec w'"
    assert in_shell("fish", script, command) == ["web", "web.db", "wide"]


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_zsh(command: Path) -> None:
    script = """
    compadd() { shift 2; print -l -- "$@"; }; compdef() { :; }; _files() { print files; }
    source <(containerizer completion zsh)
    words=(containerizer exec w) CURRENT=3 _containerizer
    words=(containerizer exec web '') CURRENT=4 _containerizer
    """
    assert in_shell("zsh", script, command) == ["web", "web.db", "wide", "files"]


def test_scripts_are_for_shells_that_are_offered(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(completion.SCRIPTS) == {"bash", "fish", "zsh"}
