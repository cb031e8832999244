"""Which containers `ps` shows, and how they are drawn."""

from __future__ import annotations

import argparse

import pytest

from containerizer.cli import listing
from containerizer.cli.listing import Row
from launcher.errors import InvalidRequest

IDS = ("web", "web.db", "web.db.exec-1", "web.log", "other", "zoo.lion")


def row(name: str, created: float = 0.0, condition: str = "running", exit_code: int | None = None) -> Row:
    return Row(
        id=name,
        image="host:5000/busybox:1",
        command=("sleep", "1" * 40),
        created_at=created,
        condition=condition,
        status=condition,
        exit_code=exit_code,
        value={"id": name},
    )


def shown(capsys: pytest.CaptureFixture[str], rows: list[Row], *options: str) -> list[str]:
    parser = argparse.ArgumentParser()
    listing.configure(parser)
    listing.show(rows, parser.parse_args(options))
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ([], ["a", "b", "c"]),
        (["-f", "name=b"], ["b"]),
        (["-f", "name=a", "-f", "name=c"], ["a", "c"]),
        (["-f", "name=a", "-f", "status=paused"], []),
        (["-f", "status=paused"], ["b"]),
        (["-f", "status=exited"], ["c"]),
        (["-f", "exited=3"], ["c"]),
        (["-f", "exited=0"], []),
        (["-f", "image=busybox"], ["a", "b", "c"]),
        (["-f", "image=host:5000/busybox:1"], ["a", "b", "c"]),
        (["-f", "image=box"], []),
        (["-n", "2"], ["a", "b"]),
        (["--latest"], ["b"]),
        (["-n", "0"], []),
    ],
)
def test_filters(capsys: pytest.CaptureFixture[str], options: list[str], names: list[str]) -> None:
    rows = [row("a", 2.0), row("b", 3.0, "paused"), row("c", 1.0, "terminated", 3)]
    assert shown(capsys, rows, "-q", *options) == names


@pytest.mark.parametrize("text", ["name", "size=3", "=x"])
def test_a_filter_that_is_none(capsys: pytest.CaptureFixture[str], text: str) -> None:
    with pytest.raises(InvalidRequest, match="invalid --filter"):
        shown(capsys, [], "-f", text)


def test_a_status_that_nobody_has(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InvalidRequest, match="no container is ever 'dead'"):
        shown(capsys, [], "-f", "status=dead")


def test_a_tree(capsys: pytest.CaptureFixture[str]) -> None:
    names = [
        line.split("   host")[0].rstrip() for line in shown(capsys, [row(each) for each in IDS], "--tree")
    ]
    assert names[1:] == [
        "web",
        "├─ db",
        "│  └─ exec-1",
        "└─ log",
        "other",
        "zoo.lion",
    ]


def test_commands_are_cut_unless_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert "1…" in shown(capsys, [row("a")])[1]
    assert "1" * 40 in shown(capsys, [row("a")], "--no-trunc")[1]


def test_a_template(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    listing.configure(parser)
    listing.show([row("a")], parser.parse_args(["--format", r"table {{.id}}\t{{json .id}}"]))
    assert capsys.readouterr().out == 'ID   ID\na    "a"\n'
