"""Templates of --format."""

from __future__ import annotations

from typing import Any

import pytest

from containerizer.cli.template import Template
from launcher.errors import InvalidRequest

ROW = {
    "id": "web",
    "running": True,
    "pid": None,
    "command": ["sh", "-c"],
    "ended": {"exit_code": 3},
    "Name": "x",
}


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("{{.id}}", "web"),
        ("{{ .id }}: {{.ended.exit_code}}", "web: 3"),
        (r"{{.id}}\t{{.running}}", "web\ttrue"),
        ("{{json .command}} {{.command}}", '["sh", "-c"] ["sh", "-c"]'),
        ("{{.command.1}}{{.command.9}}", "-c"),
        ("<{{.pid}}{{.pid.of.nothing}}>", "<>"),
        ("{{json .pid}} {{json .id}}", 'null "web"'),
        ("{{.ID}} {{.name}}", "web x"),
    ],
)
def test_what_it_makes_of_a_row(text: str, written: str) -> None:
    assert list(Template.parse(text).lines([ROW, ROW])) == [written, written]
    assert list(Template.parse(text).lines(ROW)) == [written]


def test_a_whole_row() -> None:
    assert list(Template.parse("{{json .}}").lines([{"a": 1}])) == ['{"a": 1}']


def test_a_table_has_a_header() -> None:
    lines = list(Template.parse(r"table {{.id}}\t{{.ended.exit_code}}").lines([ROW]))
    assert lines == ["ID\tEXIT CODE", "web\t3"]


@pytest.mark.parametrize("text", ["{{.id", "{{range .}}x{{end}}", "{{id}}", "}} {{.id}}", "{{.a b}}"])
def test_what_is_not_understood(text: str) -> None:
    with pytest.raises(InvalidRequest, match="not understood"):
        Template.parse(text)


@pytest.mark.parametrize(("text", "hint"), [("{{.nope}}", "command, ended"), ("{{.id.x}}", "has no fields")])
def test_a_field_that_is_not_there(text: str, hint: str) -> None:
    with pytest.raises(InvalidRequest, match=f"no field .*{hint}"):
        list(Template.parse(text).lines([ROW]))


def test_a_list_has_numbers() -> None:
    value: dict[str, Any] = {"list": [1, 2]}
    with pytest.raises(InvalidRequest, match="no field 'first'; there are 0, 1"):
        list(Template.parse("{{.list.first}}").lines(value))
