"""Documents read by paths: each field is taken once, by its type; what is left over is refused.

So a field that we do not know is an error that names it (`spec.containers[0].tty`) and never a wish
that is silently not granted. What a document of secrets says is in no message.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterator, Mapping, Set
from typing import TYPE_CHECKING, Any, TypeVar

from launcher.errors import InvalidRequest

if TYPE_CHECKING:
    import yaml

_MAX_SIZE = 4 << 20  # bytes; Kubernetes' objects are up to 1 MiB each
_MAX_DOCUMENTS = 100
_COMPARED = 100  # names, with one that may be misspelt
_QUOTED = re.compile(r"'[^']{2,}'|!\S+")  # in a message of the YAML library: text of the manifest
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


def load(text: bytes, name: str) -> list[Node]:
    """The documents, YAML or JSON; empty ones are left out. Raises InvalidManifest."""
    import yaml

    class TwiceTheSame(yaml.constructor.ConstructorError):
        """Its message is ours."""

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            keys = set[str]()
            for item, _ in node.value:
                key = self.construct_object(item, deep=True)
                if not isinstance(key, str) or key in keys:
                    problem = f"the key {_shown(key)} is there twice, or no string"
                    raise TwiceTheSame(None, None, problem, node.start_mark)
                keys.add(key)
            return super().construct_mapping(node, deep=deep)

    if len(text) > _MAX_SIZE:
        raise InvalidManifest(f"{name} is larger than {_MAX_SIZE} bytes")
    try:
        values = [value for value in yaml.load_all(text, Loader) if value is not None]  # a SafeLoader
    except TwiceTheSame as error:
        raise InvalidManifest(f"{name} is no YAML: {error.problem}{_place(error)}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise InvalidManifest(f"{name} is no YAML: {_problem(error)}") from None
    if len(values) > _MAX_DOCUMENTS:
        raise InvalidManifest(f"{name} has more than {_MAX_DOCUMENTS} documents")
    return [_document(value, f"document {number} of {name}") for number, value in enumerate(values, 1)]


def _problem(error: Exception) -> str:
    """What is wrong, and where; without the text there, which may be a secret's."""
    import yaml

    if not isinstance(error, yaml.MarkedYAMLError):
        return "its text cannot be read" if isinstance(error, ValueError) else type(error).__name__
    return _QUOTED.sub("…", error.problem or "it is malformed") + _place(error)


def _place(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    return f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""


def _document(value: Any, name: str) -> Node:
    if not isinstance(value, dict):
        raise InvalidManifest(f"{name} is not an object")
    return Node(value, "", hidden=value.get("kind") == "Secret")


class Node:
    """An object of a document, and what of it nobody has taken yet."""

    def __init__(self, value: Mapping[str, Any], path: str, *, hidden: bool = False) -> None:
        """`hidden`: no message has a value of it."""
        self.path = path
        self._hidden = hidden
        self._left = {key: item for key, item in value.items() if item is not None}
        self._known = set[str]()  # the fields that somebody has asked for

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

    def numbers(self, name: str) -> tuple[int, ...]:
        """A list of whole numbers; none where it is missing."""
        items = self._take(name, list, [])
        for index, item in enumerate(items):
            if type(item) is not int or not 0 <= item < 1 << 31:
                raise self.refusal(f"{name}[{index}]", "is no whole number")
        return tuple(items)

    def quantity(self, name: str) -> str | None:
        """A number with or without a suffix, as text."""
        self._known.add(name)
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
        """An object; one with nothing in it where it is missing."""
        return Node(self._take(name, dict, {}), self.at(name), hidden=self._hidden)

    def objects(self, name: str) -> Iterator[Node]:
        """A list of objects."""
        for index, item in enumerate(self._take(name, list, [])):
            path = f"{self.at(name)}[{index}]"
            if not isinstance(item, dict):
                raise InvalidManifest(f"{path} is no object")
            yield Node(item, path, hidden=self._hidden)

    def mapping(self, name: str) -> dict[str, str]:
        """Strings by any keys."""
        value = self._take(name, dict, {})
        for key, item in value.items():
            if not isinstance(item, str):
                raise self.refusal(f"{name}.{key}", "is no string")
        return dict(value)

    def has(self, name: str) -> bool:
        self._known.add(name)
        return name in self._left

    def peek(self, name: str) -> Any:
        """What is there, and stays to be taken."""
        return self._left.get(name)

    def ignore(self, name: str) -> bool:
        """Take it, whatever it is. Whether it was there."""
        self._known.add(name)
        return self._left.pop(name, None) is not None

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
            near = _nearest(name, self._known)
            raise self.refusal(name, "is not supported", f"did you mean {near}?" if near else "leave it out")

    def missing(self, name: str) -> InvalidManifest:
        """The error for a field that has to be there, and perhaps is, misspelt."""
        near = _nearest(name, set(self._left) - self._known)
        return self.refusal(name, "is missing", near and f"did you mean it by {near!r}?")

    def _take(self, name: str, kind: type[_T], default: Any) -> Any:
        self._known.add(name)
        value = self._left.pop(name, default)
        if value is _MISSING:
            raise self.missing(name)
        right = isinstance(value, kind) and not (kind is int and isinstance(value, bool))
        if value is not default and not right:
            found = "" if self._hidden else f": {_shown(value)}"
            raise InvalidManifest(f"{self.at(name)} is not {_KINDS[kind]}{found}")
        return value


def _nearest(name: str, names: Set[str]) -> str | None:
    """The one of them that somebody may have meant."""
    import difflib

    return next(iter(difflib.get_close_matches(name, sorted(names)[:_COMPARED], n=1, cutoff=0.7)), None)


def _shown(value: Any) -> str:
    """For messages. Aliases make a value of a few lines whose whole text no memory holds."""
    short = reprlib.Repr()
    short.maxlevel, short.maxstring, short.maxother = 2, 80, 80
    return short.repr(value)[:100]
