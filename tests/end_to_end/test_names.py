"""Beginnings of names and of digests stand for the whole of them, in every command that takes one."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Cli

pytestmark = pytest.mark.requires("root", "overlay", "registry", "busybox", "cgroup")


@pytest.fixture
def tree(cli: Cli, busybox: str) -> Iterator[Cli]:
    """longname, longname.inner, and other."""
    script = "echo said; exec sleep 1000"
    for name in ("longname", "longname.inner", "other"):
        assert cli("run", "-d", "--name", name, busybox, "sh", "-c", script).returncode == 0
    yield cli
    cli("rm", "-f", "longname", "other")


def fine(done: subprocess.CompletedProcess[str]) -> str:
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_of_containers(tree: Cli, busybox: str, tmp_path: Path) -> None:
    assert fine(tree("exec", "lon", "echo", "here")) == "here\n"
    assert fine(tree("debug", "lon.in", "echo", "here")) == "here\n"
    assert fine(tree("logs", "lon.i")) == "said\n"
    assert fine(tree("logs", "lo", "lo.i")) == "longname       | said\nlongname.inner | said\n"
    assert fine(tree("inspect", "-f", "{{.id}}", "l.i")) == "longname.inner\n"
    assert "longname.inner" in fine(tree("top", "l"))
    assert "longname.inner" in fine(tree("stats", "--no-stream", "l.i"))
    fine(tree("cp", "l:/etc/passwd", str(tmp_path)))
    for command in (["diff"], ["port"], ["healthcheck"], ["update", "-m", "64m"], ["pause"], ["unpause"]):
        fine(tree(*command, "lo", *(["true"] if command == ["healthcheck"] else [])))
    shared = ("--network", "container:lo", "--pid", "container:lo", "--volumes-from", "lo")
    fine(tree("run", "--rm", *shared, busybox, "true"))
    assert fine(tree("commit", "lo", "mine:v1")).startswith("docker.io/library/mine:v1@")
    assert fine(tree("ps", "-q", "-f", "id=l")) == "longname\nlongname.inner\n"
    for command in (["kill"], ["wait"], ["rm"]):
        fine(tree(*command, "lo.in"))
    fine(tree("stop", "-t", "0", "lo"))
    assert fine(tree("ps", "-q")) == "other\n"


def test_of_images(cli: Cli, busybox: str) -> None:
    fine(cli("run", "--rm", busybox, "true"))
    (image,) = json.loads(fine(cli("inspect", busybox)))
    for text in (image["digest"], image["digest"].partition(":")[2][:12], image["config_digest"]):
        assert fine(cli("run", "--rm", text, "echo", "here")) == "here\n"
        assert fine(cli("inspect", "-f", "{{.reference}}", text)) == f"{busybox}:latest\n"
    known = image["digest"].removeprefix("sha256:")
    assert fine(cli("run", "--rm", "--pull", "never", known[:4], "echo", "here")) == "here\n"
    unknown = known[:-2] + f"{int(known[-2:], 16) ^ 1:02x}"
    for text in (unknown, f"sha256:{unknown}"):
        done = cli("run", "--rm", text, "true")
        assert done.returncode == 125 and "write NAME@sha256:DIGEST" in done.stderr


def test_processes_of_a_tree(tree: Cli) -> None:
    """`top` says which are whose; of several containers, too. `stats --tree` draws what is in what."""
    header, *rows = (line.split() for line in fine(tree("top", "longname", "other")).splitlines())
    assert (header[:3], [row[0] for row in rows]) == (
        ["CONTAINER", "HOST-PID", "PID"],
        ["longname", "longname.inner", "other"],
    )
    assert [row[2] for row in rows][::2] == ["1", "1"] and rows[1][2] != "1"
    assert fine(tree("top", "other")).startswith("HOST-PID ")
    told = json.loads(fine(tree("top", "--json", "longname.inner", "longname")))
    assert [each["container"] for each in told] == ["longname", "longname.inner"]
    drawn = fine(tree("stats", "--no-stream", "--tree", "longname")).splitlines()
    assert [line.split()[:2] for line in drawn[2:]] == [["└─", "inner"]]
    assert [line.split()[0] for line in drawn[:2]] == ["CONTAINER", "longname"]


def test_directories_that_are_not_there(cli: Cli, tmp_path: Path) -> None:
    typo = str(tmp_path / "typo")
    done = Cli(cli.root, Path(typo))("ps", "-q")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"containerizer: there is no directory {typo} (--state)\n"
    done = Cli(Path(typo), cli.state)("images", "-q")
    assert done.stderr == f"containerizer: there is no directory {typo} (--root)\n"
    assert not Path(typo).exists()
