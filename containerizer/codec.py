"""Records as JSON and back, by the annotations of their fields.

Only what differs from its default is written. Nothing here understands another version: lanes have
executed each other, and who reads a file that may be older sees to that (containerizer.volumes.kept).
"""

from __future__ import annotations

import enum
import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, get_args, get_origin

from launcher.container_id import ContainerId
from launcher.data import Data

D = TypeVar("D", bound=Data)

Decode = Callable[[Any], Any]

# What modules import for type checkers only, and where it really is. None: a Literal, which is as it is.
_LATE: Mapping[str, str | None] = {
    "CsiVolume": "isolators.csi",
    "Device": "isolators.devices",
    "FetchUri": "containerizer.fetcher.uri",
    "HealthOptions": "containerizer.checks.docker",
    "Secret": "isolators.secrets",
    "SecretReference": "isolators.secrets",
    "Tmpfs": "containerizer.tmpfs",
    "Volume": "isolators.volumes",
    "Policy": None,
}


def encode(item: Data) -> dict[str, Any]:
    """A value for json.dumps; `decode` is its inverse."""
    defaults = item.__defaults__
    return {
        name: _plain(value)
        for name, value in item.__dict__.items()
        if value is not defaults[name] and value != {} and value != defaults[name]
    }


def decode(kind: type[D], value: Mapping[str, Any]) -> D:
    """Raises TypeError, KeyError for what `encode` has not made."""
    fields = dict(value)
    for name, decoder in _decoders(kind):  # type: ignore[arg-type]  # a class is hashable
        if name in fields:
            fields[name] = decoder(fields[name])
    return kind(**fields)


def _plain(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, (str, int)):
        return value
    if isinstance(value, ContainerId):
        return str(value)
    if isinstance(value, Data):
        return encode(value)
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value


@functools.cache
def _decoders(kind: type[Data]) -> tuple[tuple[str, Decode], ...]:
    """Of those fields whose values differ from those of JSON."""
    found: dict[str, Decode] = {}
    for base in reversed(kind.__mro__):
        names = _Names(vars(sys.modules[base.__module__]))
        for name, annotation in inspect.get_annotations(base).items():
            if name in kind.__fields__:
                found[name] = _decoder(eval(annotation, {}, names))  # noqa: S307 - the house's own source
    return tuple((name, decoder) for name, decoder in found.items() if decoder is not _as_it_is)


class _Names(dict[str, Any]):
    """A module's, and what it has for type checkers only."""

    def __missing__(self, name: str) -> Any:
        module = _LATE[name]  # KeyError: it is one of the builtins
        return Any if module is None else getattr(importlib.import_module(module), name)


def _decoder(kind: Any) -> Decode:
    origin = get_origin(kind)
    arguments = [each for each in get_args(kind) if each is not type(None)]
    if origin is tuple and arguments[1:] == [...]:
        return functools.partial(_tuple, _decoder(arguments[0]))
    if origin is tuple:
        return functools.partial(_product, list(map(_decoder, arguments)))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return functools.partial(_mapping, _decoder(arguments[1]))
    if len(arguments) == 1 and len(get_args(kind)) == 2:  # X | None
        return functools.partial(_optional, _decoder(arguments[0]))
    if kind is ContainerId:
        return ContainerId.parse
    if isinstance(kind, type) and issubclass(kind, Data):
        return functools.partial(decode, kind)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return kind
    return _as_it_is


def _optional(inner: Decode, value: Any) -> Any:
    return None if value is None else inner(value)


def _tuple(inner: Decode, value: Any) -> tuple[Any, ...]:
    return tuple(map(inner, value))


def _product(each: list[Decode], value: Any) -> tuple[Any, ...]:
    return tuple(inner(item) for inner, item in zip(each, value, strict=True))


def _mapping(inner: Decode, value: Any) -> dict[str, Any]:
    return {key: inner(item) for key, item in value.items()}


def _as_it_is(value: Any) -> Any:
    return value
