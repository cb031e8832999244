"""The same data for another name: what was made for one container, as another one gets it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from launcher.data import Data

Renaming = Callable[[str], Any]  # from the new name to the value with it
_Named = tuple[tuple[Any, Renaming], ...]  # keys or places, of what has the name


def renaming(value: Any, name: str) -> Renaming | None:
    """How to put another name wherever the value has `name`; None where it has it nowhere.

    The value is text, a record, or a tuple or mapping of such. What has no name is looked at once, and
    shared from then on.
    """
    if isinstance(value, str):
        parts = value.split(name)
        return (lambda new: new.join(parts)) if len(parts) > 1 else None
    if isinstance(value, Data):
        named = _named(value.__dict__.items(), name)
        return partial(_record, type(value), value.__dict__, named) if named else None
    if isinstance(value, Mapping):
        named = _named(value.items(), name)
        return partial(_mapping, value, named) if named else None
    if isinstance(value, tuple):
        named = _named(enumerate(value), name)
        return partial(_items, value, named) if named else None
    return None


def _named(items: Iterable[tuple[Any, Any]], name: str) -> _Named:
    found = ((key, renaming(item, name)) for key, item in items)
    return tuple((key, each) for key, each in found if each is not None)


def _record(kind: type[Data], fields: Mapping[str, Any], named: _Named, new: str) -> Data:
    """As `replace`, whose checks the first one has passed."""
    record = object.__new__(kind)
    own = record.__dict__
    own.update(fields)
    for key, each in named:
        own[key] = each(new)
    return record


def _mapping(value: Mapping[Any, Any], named: _Named, new: str) -> dict[Any, Any]:
    other = dict(value)
    for key, each in named:
        other[key] = each(new)
    return other


def _items(value: tuple[Any, ...], named: _Named, new: str) -> tuple[Any, ...]:
    items = list(value)
    for place, each in named:
        items[place] = each(new)
    return tuple(items)
