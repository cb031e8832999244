"""Output that a person or a program reads."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from launcher.errors import InvalidRequest

if TYPE_CHECKING:
    from containerizer.cli.template import Template

_GAP = "   "  # between columns
_NARROWEST = 12  # characters of a column that gives way to others
_LONGEST = 3000  # characters of a sentence
_LAYOUT = "\t\n"  # what the author of a template may want


def add_json_option(parser: argparse.ArgumentParser, *names: str) -> None:
    """`arguments.format` is "table", "json" or a Template. `names`: what it is called besides --format."""
    parser.add_argument(
        *names,
        "--format",
        metavar="FORM",
        type=_form,
        default="table",
        help="table, json, or a template: '{{.id}} {{json .command}}'",
    )
    parser.add_argument(
        "--json", action="store_const", dest="format", const="json", help="the same as --format json"
    )


def _form(text: str) -> str | Template:
    if text in ("table", "json"):
        return text
    from containerizer.cli.template import Template  # what few ask for

    if "{{" not in text:
        hint = "write table, json, or a template with fields: '{{.id}}'"
        raise InvalidRequest(f"invalid --format {text!r}", hint=hint)
    return Template.parse(text)


def print_data(value: Any, form: str | Template = "json", *, flush: bool = False) -> None:
    """For programs: as JSON, or what a template makes of it."""
    if isinstance(form, str):
        print(json.dumps(value, indent=2), flush=flush)
    elif form.header:
        header, *rows = (line.split("\t") for line in form.lines(value))
        print_table(header, rows)
    else:
        print(
            "".join(f"{printable(line, keeping=_LAYOUT)}\n" for line in form.lines(value)),
            end="",
            flush=flush,
        )


def printable(text: str, keeping: str = "") -> str:
    """The text without what a terminal would act on: an image may have put it there."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in keeping else c.encode("unicode_escape").decode() for c in text
    )


def told(text: str) -> str:
    """A sentence for a terminal: printable, and cut where an image or a registry fills pages of it."""
    text = printable(text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]} … {text[-_LONGEST // 2 :]}"


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as their widest cell; the last one is left ragged. A terminal's width is kept to."""
    lines = [header, *([printable(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    if sys.stdout.isatty():
        widths = _fitting(widths, os.get_terminal_size().columns)
        lines = [list(map(_cut, line, widths)) for line in lines]
    padded = ([*map(str.ljust, line[:-1], widths), line[-1]] for line in lines)
    print("\n".join(_GAP.join(line).rstrip() for line in padded))


def _fitting(widths: Sequence[int], columns: int) -> list[int]:
    """The widest columns give way, as long as there is something left of them."""
    fitting = list(widths)
    while sum(fitting) + len(_GAP) * (len(fitting) - 1) > columns and max(fitting) > _NARROWEST:
        fitting[fitting.index(max(fitting))] -= 1
    return fitting


def _cut(cell: str, width: int) -> str:
    return cell if len(cell) <= width else cell[: width - 1] + "…"
