"""Output that a person or a program reads."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

_LONGEST = 3000  # characters of a sentence


def add_json_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--format", choices=("table", "json"), default="table", help="for people or programs (%(default)s)"
    )
    parser.add_argument(
        "--json", action="store_const", dest="format", const="json", help="the same as --format json"
    )


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=2))


def printable(text: str) -> str:
    """The text without what a terminal would act on: an image may have put it there."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def told(text: str) -> str:
    """A sentence for a terminal: printable, and cut where an image or a registry fills pages of it."""
    text = printable(text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]} … {text[-_LONGEST // 2 :]}"


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as their widest cell; the last one is left ragged."""
    lines = [header, *([printable(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header) - 1)]
    padded = ([*map(str.ljust, line[:-1], widths), line[-1]] for line in lines)
    print("\n".join("   ".join(line).rstrip() for line in padded))
