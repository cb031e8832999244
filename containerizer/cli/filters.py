"""--filter KEY=VALUE: of one key any value will do, of several keys all are needed; as in docker."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from launcher.errors import InvalidRequest

T = TypeVar("T")
Keys = Mapping[str, Callable[[T, str], bool]]  # whether something is what the value says


def add(parser: argparse.ArgumentParser, keys: Iterable[str]) -> None:
    names = ", ".join(keys)
    parser.add_argument(
        *("-f", "--filter"), action="append", default=[], metavar="KEY=VALUE", help=f"only those: {names}"
    )


def parse(texts: Sequence[str], keys: Iterable[str]) -> dict[str, list[str]]:
    """The values by their keys. Raises InvalidRequest."""
    wanted: dict[str, list[str]] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or key not in keys:
            hint = f"write KEY=VALUE, with one of {', '.join(keys)}"
            raise InvalidRequest(f"invalid --filter {text!r}", hint=hint)
        wanted.setdefault(key, []).append(value)
    return wanted


def fits(item: T, wanted: Mapping[str, Sequence[str]], keys: Keys[T]) -> bool:
    return all(any(keys[key](item, value) for value in values) for key, values in wanted.items())
