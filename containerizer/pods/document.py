"""A document read by paths: each field is taken once, by its type; what is left over is refused.

So a field that we do not know is an error that names it (`spec.containers[0].tty`) and never a wish
that is silently not granted.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from launcher.errors import InvalidRequest

_MAX_SIZE = 1 << 20  # bytes
_MISSING = object()
_T = TypeVar("_T")

_KINDS: Mapping[type, str] = {
    str: "a string",
    bool: "true or false",
    int: "a whole number",
    list: "a list",
    dict: "an object",
}


class InvalidManifest(InvalidRequest):
    """The manifest is no manifest, or asks for what cannot be done here; the message has the path."""


def load(text: bytes, name: str) -> Node:
    """The document, YAML or JSON. Raises InvalidManifest."""
    import yaml

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            keys = set[str]()
            for item, _ in node.value:
                key = self.construct_object(item, deep=True)
                if not isinstance(key, str) or key in keys:
                    problem = f"the key {_shown(key)} is there twice, or no string"
                    raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
                keys.add(key)
            return super().construct_mapping(node, deep=deep)

    if len(text) > _MAX_SIZE:
        raise InvalidManifest(f"{name} is larger than {_MAX_SIZE} bytes")
    try:
        value = yaml.load(text, Loader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        problem = " ".join(str(error).split())
        raise InvalidManifest(f"{name} is not one YAML document: {problem}") from error
    return Node({"": value}, "").object("")


class Node:
    """An object of the document, and what of it nobody has taken yet."""

    def __init__(self, value: Mapping[str, Any], path: str) -> None:
        self.path = path
        self._left = {key: item for key, item in value.items() if item is not None}

    def at(self, name: str) -> str:
        """The path of a field."""
        return f"{self.path}.{name}" if self.path else name

    def text(self, name: str, default: str | None = None) -> str:
        """A string without null characters; with no default it has to be there."""
        value: str = self._take(name, str, _MISSING if default is None else default)
        if "\0" in value:
            raise self.refusal(name, "has a null character")
        return value

    def optional_text(self, name: str) -> str | None:
        return self.text(name) if self.has(name) else None

    def one_of(self, name: str, choices: tuple[str, ...], default: str | None = None) -> str:
        value = self.text(name, default)
        if value not in choices:
            raise self.refusal(name, f"is {value!r}; it can be {', '.join(filter(None, choices))}")
        return value

    def flag(self, name: str) -> bool | None:
        value: bool | None = self._take(name, bool, None)
        return value

    def number(self, name: str, default: int | None = None, *, least: int = 0) -> int:
        """A whole number."""
        value: int = self._take(name, int, _MISSING if default is None else default)
        if not least <= value < 1 << 31:
            raise self.refusal(name, f"is {value}; the least is {least}")
        return value

    def quantity(self, name: str) -> str | None:
        """A number with or without a suffix, as text."""
        value = self._left.pop(name, None)
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.refusal(name, "is no quantity")
        return str(value)

    def texts(self, name: str) -> tuple[str, ...] | None:
        """A list of strings; None where it is missing."""
        items = self._take(name, list, None)
        if items is None:
            return None
        for index, item in enumerate(items):
            if not isinstance(item, str) or "\0" in item:
                raise self.refusal(f"{name}[{index}]", "is no string")
        return tuple(items)

    def object(self, name: str) -> Node:
        """An object; one with nothing in it where it is missing, but for the document itself."""
        value = self._take(name, dict, {} if name else _MISSING)
        return Node(value, self.at(name) if name else "")

    def objects(self, name: str) -> Iterator[Node]:
        """A list of objects."""
        for index, item in enumerate(self._take(name, list, [])):
            path = f"{self.at(name)}[{index}]"
            if not isinstance(item, dict):
                raise InvalidManifest(f"{path} is no object")
            yield Node(item, path)

    def mapping(self, name: str) -> dict[str, str]:
        """Strings by any keys."""
        value = self._take(name, dict, {})
        for key, item in value.items():
            if not isinstance(item, str):
                raise self.refusal(f"{name}.{key}", "is no string")
        return dict(value)

    def has(self, name: str) -> bool:
        return name in self._left

    def only(self, names: tuple[str, ...]) -> str:
        """The one of these fields that is there."""
        there = [name for name in names if self.has(name)]
        if not there:
            self.done()  # which names one that we do not know
        if len(there) != 1:
            found = f"has {' and '.join(there)}" if there else "has none of them"
            raise InvalidManifest(f"{self.path} takes one of {', '.join(names)}, and {found}")
        return there[0]

    def refusal(self, name: str, why: str, hint: str | None = None) -> InvalidManifest:
        """The error for a field."""
        return InvalidManifest(f"{self.at(name)} {why}", hint=hint)

    def done(self) -> None:
        """Refuse what nobody has taken."""
        for name in self._left:
            raise self.refusal(name, "is not supported", hint="leave it out")

    def _take(self, name: str, kind: type[_T], default: Any) -> Any:
        value = self._left.pop(name, default)
        if value is _MISSING:
            raise self.refusal(name, "is missing") if name else InvalidManifest("the document is empty")
        right = isinstance(value, kind) and not (kind is int and isinstance(value, bool))
        if value is not default and not right:
            what = self.at(name) if name else "the document"
            raise InvalidManifest(f"{what} is not {_KINDS[kind]}: {_shown(value)}")
        return value


def _shown(value: Any) -> str:
    """For messages. Aliases make a value of a few lines whose whole text no memory holds."""
    short = reprlib.Repr()
    short.maxlevel, short.maxstring, short.maxother = 2, 80, 80
    return short.repr(value)[:100]
