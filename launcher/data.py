"""Data: immutable records, like frozen dataclasses but without generating code.

`@dataclass` compiles half a dozen functions for each class, 0.4 ms a class, and imports `inspect`:
together 20 ms of every start of the command, and memory in every supervisor. Here all classes share
the same few methods. Type checkers see a dataclass (PEP 681).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, dataclass_transform

if TYPE_CHECKING:
    from typing import TypeVar

    _D = TypeVar("_D", bound="Data")  # at run time it would compile the name, in 1 ms

_MISSING = object()


class Field:
    """A field's name, its default if it has one, and what else is known of it."""

    __slots__ = ("default", "default_factory", "metadata", "name")

    def __init__(
        self,
        default: Any = _MISSING,
        default_factory: Callable[[], Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = ""  # its class gives it one
        self.default = default
        self.default_factory = default_factory
        self.metadata = metadata or {}

    def value(self) -> Any:
        """The default, made anew where it is mutable; _MISSING if there is none."""
        return self.default_factory() if self.default_factory else self.default


def field(
    *,
    default: Any = _MISSING,
    default_factory: Callable[[], Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Any:
    """Describe a field that needs more than a plain default."""
    return Field(default, default_factory, metadata)


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class Data:
    """The base of all records: annotated fields, equality and hash by value, no change after creation.

    With `kw_only=True` in the class statement fields are given by name only. `__post_init__`, if
    there is one, checks the values.
    """

    __fields__: ClassVar[dict[str, Field]] = {}
    __kw_only__: ClassVar[bool] = False
    __defaults__: ClassVar[dict[str, Any]] = {}  # those that are shared, for they cannot be changed
    __required__: ClassVar[tuple[str, ...]] = ()
    __made__: ClassVar[tuple[tuple[str, Callable[[], Any]], ...]] = ()  # those made anew each time

    def __init_subclass__(cls, *, kw_only: bool = False) -> None:
        cls.__kw_only__ = kw_only or cls.__kw_only__
        cls.__fields__ = dict(cls.__fields__)
        for name, annotation in cls.__annotations__.items():
            if not str(annotation).startswith("ClassVar"):
                cls.__fields__[name] = _described(name, cls.__dict__.get(name, _MISSING))
        described = cls.__fields__.items()
        cls.__defaults__ = {name: field.default for name, field in described}
        without = (name for name, f in described if f.default is _MISSING and not f.default_factory)
        cls.__required__ = tuple(without)
        cls.__made__ = tuple((name, f.default_factory) for name, f in described if f.default_factory)

    def __init__(self, *values: Any, **named: Any) -> None:
        if values:
            self.__name(values, named)
        own = self.__dict__
        own.update(self.__defaults__)  # which are in the order of the fields
        for name, make in self.__made__:
            if name not in named:
                own[name] = make()
        own.update(named)
        for name in self.__required__:
            if own[name] is _MISSING:
                raise TypeError(f"{type(self).__name__} lacks {name}")
        if len(own) != len(self.__fields__):
            self.__refuse(named)
        self.__post_init__()

    def __name(self, values: tuple[Any, ...], named: dict[str, Any]) -> None:
        """Add the values that were given by their places."""
        names = self.__fields__
        if len(values) > (0 if self.__kw_only__ else len(names)):
            raise TypeError(f"{type(self).__name__} takes its fields by name")
        for name, value in zip(names, values, strict=False):
            if named.setdefault(name, value) is not value:
                raise TypeError(f"{type(self).__name__} got {name} twice")

    def __refuse(self, named: dict[str, Any]) -> None:
        unknown = named.keys() - self.__fields__.keys()
        raise TypeError(f"{type(self).__name__} has no {', '.join(sorted(unknown))}")

    def __post_init__(self) -> None:
        """Check the values; for subclasses."""

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable: cannot set {name}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable: cannot delete {name}")

    def __eq__(self, other: object) -> bool:
        return self.__dict__ == other.__dict__ if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash((type(self), *self.__dict__.values()))

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value!r}" for name, value in self.__dict__.items())
        return f"{type(self).__qualname__}({values})"


def fields(item: Data | type[Data]) -> Iterator[Field]:
    """The fields, in the order of the class."""
    return iter(item.__fields__.values())


def replace(item: _D, **changes: Any) -> _D:
    """A copy with some fields changed. Raises TypeError for a field that there is not."""
    other = object.__new__(type(item))
    own = other.__dict__
    own.update(item.__dict__)
    own.update(changes)
    if len(own) != len(item.__fields__):
        return type(item)(**own)  # which says what is wrong
    other.__post_init__()
    return other


def asdict(item: Data) -> dict[str, Any]:
    """The fields by name, records among them as such dictionaries too: a value for JSON."""
    return {name: value if type(value) in _ATOMS else plain(value) for name, value in item.__dict__.items()}


_ATOMS = frozenset({str, int, bool, float, type(None)})  # most values are, and are told by this at once


def plain(value: Any) -> Any:
    """A value for JSON, of a field."""
    if type(value) in _ATOMS:
        return value
    if isinstance(value, Data):
        return asdict(value)
    if isinstance(value, (tuple, list)):
        return [item if type(item) in _ATOMS else plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return value


def _described(name: str, default: Any) -> Field:
    described = default if isinstance(default, Field) else Field(default)
    described.name = name
    return described
