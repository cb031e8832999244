"""The same data for another name: what was made for one container, as another one gets it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from launcher.data import Data, replace

Renaming = Callable[[str], Any]  # from the new name to the value with it


def renaming(value: Any, name: str) -> Renaming | None:
    """How to put another name wherever the value has `name`; None where it has it nowhere.

    The value is text, a record, or a tuple or mapping of such. What has no name is looked at once, and
    shared from then on.
    """
    if isinstance(value, str):
        parts = value.split(name)
        return (lambda new: new.join(parts)) if len(parts) > 1 else None
    if isinstance(value, Data):
        named = _named(value.__dict__, name)
        return (lambda new: replace(value, **_with(named, new))) if named else None
    if isinstance(value, Mapping):
        named = _named(value, name)
        return (lambda new: {**value, **_with(named, new)}) if named else None
    if isinstance(value, tuple):
        places = _named(dict(enumerate(value)), name)
        return (lambda new: _placed(value, _with(places, new))) if places else None
    return None


def _named(items: Mapping[Any, Any], name: str) -> dict[Any, Renaming]:
    found = {key: renaming(item, name) for key, item in items.items()}
    return {key: each for key, each in found.items() if each is not None}


def _with(named: Mapping[Any, Renaming], new: str) -> dict[Any, Any]:
    return {key: each(new) for key, each in named.items()}


def _placed(value: tuple[Any, ...], changed: Mapping[int, Any]) -> tuple[Any, ...]:
    items = list(value)
    for place, item in changed.items():
        items[place] = item
    return tuple(items)
