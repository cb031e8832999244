"""What `ps` shows, of this host's containers or an agent's: which of them, and in what form."""

from __future__ import annotations

import argparse
import shlex
import time
from collections.abc import Mapping, Sequence
from typing import Any

from containerizer.cli import filters
from containerizer.cli.table import add_json_option, print_data, print_table
from containerizer.lifecycle import State
from containerizer.units import format_age, format_size
from launcher.data import Data
from launcher.errors import InvalidRequest

_COMMAND_WIDTH = 30  # characters of the command that the table shows


class Row(Data, kw_only=True):
    """One container."""

    id: str
    image: str
    command: Sequence[str]
    created_at: float  # seconds since the epoch
    condition: str  # in one word
    status: str  # for people
    exit_code: int | None
    value: Mapping[str, Any]  # for programs
    size: int | None = None  # bytes that it has written


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-a", "--all", action="store_true", help="also those that have ended")
    parser.add_argument("-q", "--quiet", action="store_true", help="print names only")
    filters.add(parser, _KEYS)
    parser.add_argument("-n", "--last", type=int, metavar="N", help="the N newest only, ended ones too")
    parser.add_argument("-l", "--latest", action="store_const", dest="last", const=1, help="as --last 1")
    parser.add_argument("--tree", action="store_true", help="draw which container is in which")
    parser.add_argument("--no-trunc", action="store_true", help="show commands in full")
    add_json_option(parser)


def with_ended(arguments: argparse.Namespace) -> bool:
    """Whether those that have ended are asked for, in whatever words."""
    wanted = filters.parse(arguments.filter, _KEYS)
    return arguments.all or arguments.last is not None or not wanted.keys().isdisjoint(_OF_ENDED)


def show(rows: Sequence[Row], arguments: argparse.Namespace) -> None:
    """Those that the arguments ask for, in the form that they ask for. Raises InvalidRequest."""
    rows = _chosen(rows, arguments)
    if arguments.format != "table":
        print_data([dict(row.value) for row in rows], arguments.format)
    elif arguments.quiet:
        print("".join(f"{row.id}\n" for row in rows), end="")
    else:
        header: tuple[str, ...] = ("CONTAINER", "IMAGE", "COMMAND", "AGE", "STATUS")
        names = tree([row.id for row in rows]) if arguments.tree else [row.id for row in rows]
        cells = [_cells(name, row, arguments) for name, row in zip(names, rows, strict=True)]
        if any(row.size is not None for row in rows):
            header = (*header[:-1], "SIZE", header[-1])
        print_table(header, cells)


def _chosen(rows: Sequence[Row], arguments: argparse.Namespace) -> Sequence[Row]:
    wanted = filters.parse(arguments.filter, _KEYS)
    _check_words(wanted.get("status", ()))
    rows = [row for row in rows if filters.fits(row, wanted, _KEYS)]
    if arguments.last is None:
        return rows
    newest = sorted(rows, key=lambda row: row.created_at)[-arguments.last :] if arguments.last > 0 else []
    return [row for row in rows if row in newest]


def _check_words(statuses: Sequence[str]) -> None:
    known = {state.value for state in State} | {"paused", "lost", *_DOCKERS}
    for status in statuses:
        if status not in known:
            hint = f"there are {', '.join(sorted(known))}"
            raise InvalidRequest(f"no container is ever {status!r}", hint=hint)


_DOCKERS = {"exited": State.TERMINATED.value, "removing": State.DESTROYING.value}  # docker's words: ours

_KEYS: filters.Keys[Row] = {
    "id": lambda row, value: row.id.startswith(value),
    "name": lambda row, value: value in row.id,
    "status": lambda row, value: row.condition == _DOCKERS.get(value, value),
    "image": lambda row, value: value in (row.image, row.image.rpartition("/")[2].partition(":")[0]),
    "exited": lambda row, value: row.exit_code is not None and str(row.exit_code) == value,
    "parent": lambda row, value: row.id.rpartition(".")[0] == value,
}
_OF_ENDED = ("status", "exited")


def _cells(name: str, row: Row, arguments: argparse.Namespace) -> tuple[str, ...]:
    command = shlex.join(row.command)
    if not arguments.no_trunc and len(command) > _COMMAND_WIDTH:
        command = command[: _COMMAND_WIDTH - 1] + "…"
    size = () if row.size is None else (format_size(row.size),)
    return (name, row.image, command, format_age(time.time() - row.created_at), *size, row.status)


def tree(ids: Sequence[str]) -> list[str]:
    """Each as its last name, behind the lines that lead to it from those above; each follows its parent."""
    shown = set(ids)
    return [_branch(each, ids[position + 1 :], shown) for position, each in enumerate(ids)]


def _branch(each: str, later: Sequence[str], shown: set[str]) -> str:
    parent, _, name = each.rpartition(".")
    if parent not in shown:
        return each
    lines = "└─ " if _is_last(parent, later) else "├─ "
    while (above := parent.rpartition(".")[0]) in shown:
        lines = ("   " if _is_last(above, later) else "│  ") + lines
        parent = above
    return lines + name


def _is_last(parent: str, later: Sequence[str]) -> bool:
    return not any(other.rpartition(".")[0] == parent for other in later)
