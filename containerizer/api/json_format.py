"""Protobuf messages as JSON, by the predecessor's rules and not by protobuf's own.

Names of fields are those of the .proto files, whole numbers are numbers whatever their size, bytes
are base64, enums go by name. A field that is absent but has a default in its .proto file is
written, unless it is deprecated. What is read may also have protobuf's forms; fields and names of
enums that are not known are passed over, as in protobuf's own encoding.

Most of what comes is written as plainly as we write it. That makes a message at once, as its
constructor takes it, in a tenth of the time that protobuf's reader of JSON needs for the rest.
"""

from __future__ import annotations

import base64
import functools
import json
import math
from collections.abc import Callable
from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from containerizer.api.errors import BadRequest

M = TypeVar("M", bound=Message)

_Field = Any  # a FieldDescriptor; each of protobuf's implementations has a class of its own for it

_Fits = Callable[[Any, int], bool]  # whether a constructor and protobuf's reader make the same of a value

_DEEPEST = 50  # messages in each other that are read at once; protobuf's reader refuses what is too many


def dumps(message: Message) -> bytes:
    """The message as JSON text."""
    return json.dumps(to_json(message), ensure_ascii=False, separators=(",", ":")).encode()


def loads(text: bytes, kind: type[M]) -> M:
    """The message that the text has. Raises BadRequest."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"the body is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise BadRequest(f"the body is no JSON object: {text[:40]!r}")
    if _is_plain(kind.DESCRIPTOR, value, 0):
        try:
            return kind(**value)
        except (ValueError, TypeError):  # the reader says what is wrong, or that it is no matter
            pass
    message = kind()
    try:
        json_format.ParseDict(value, message, ignore_unknown_fields=True)
    except (json_format.ParseError, ValueError, TypeError, RecursionError, SystemError) as error:
        # SystemError is what protobuf's own C makes of a name with half of a surrogate pair.
        raise BadRequest(f"the JSON is no {kind.DESCRIPTOR.name}: {error}") from None
    return message


def to_json(message: Message) -> dict[str, Any]:
    """The message as values that `json` knows."""
    written = {field.name: _value(field, value) for field, value in message.ListFields()}
    for name, value in _defaults(message.DESCRIPTOR):
        written.setdefault(name, value)
    return written


@functools.cache
def _defaults(kind: Any) -> tuple[tuple[str, Any], ...]:
    """What is written of fields that are absent."""
    return tuple(
        (field.name, _plain(field, field.default_value))
        for field in kind.fields
        if field.has_default_value and not field.GetOptions().deprecated
    )


def _value(field: _Field, value: Any) -> Any:
    if not field.is_repeated:
        return _plain(field, value)
    if field.message_type is None or not field.message_type.GetOptions().map_entry:
        return [_plain(field, item) for item in value]
    values = field.message_type.fields_by_name["value"]
    return {str(key): _plain(values, item) for key, item in value.items()}


def _plain(field: _Field, value: Any) -> Any:
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        return to_json(value)
    if field.type == FieldDescriptor.TYPE_ENUM:
        return field.enum_type.values_by_number[value].name
    if field.type == FieldDescriptor.TYPE_BYTES:
        return base64.b64encode(value).decode()
    return value


def _is_plain(kind: Any, value: Any, depth: int) -> bool:
    if type(value) is not dict or depth > _DEEPEST:
        return False
    fitting = _fitting(kind)
    for name, item in value.items():
        fits = fitting.get(name)
        if fits is None or not fits(item, depth):
            return False
    return True


@functools.cache
def _fitting(kind: Any) -> dict[str, _Fits]:
    """By the names of those fields of a message that can be given to its constructor."""
    found = {field.name: _fits(field) for field in kind.fields if field.containing_oneof is None}
    return {name: fits for name, fits in found.items() if fits is not None}


def _fits(field: _Field) -> _Fits | None:
    """None if there is only the reader for it."""
    if not field.is_repeated:
        return _one_fits(field)
    if field.message_type is None or not field.message_type.GetOptions().map_entry:
        one = _one_fits(field)
        return one and (lambda value, depth: type(value) is list and all(one(item, depth) for item in value))
    key, item_type = (field.message_type.fields_by_name[name] for name in ("key", "value"))
    item_fits = _one_fits(item_type)
    if item_fits is None or key.type != FieldDescriptor.TYPE_STRING:
        return None
    return lambda value, depth: type(value) is dict and all(item_fits(item, depth) for item in value.values())


def _one_fits(field: _Field) -> _Fits | None:
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        return lambda value, depth: _is_plain(field.message_type, value, depth + 1)
    if field.type == FieldDescriptor.TYPE_DOUBLE:
        return lambda value, _: type(value) is int or (type(value) is float and math.isfinite(value))
    kind = _PLAIN.get(field.type)
    return kind and (lambda value, _: type(value) is kind)


_PLAIN = {
    FieldDescriptor.TYPE_STRING: str,
    FieldDescriptor.TYPE_ENUM: str,
    FieldDescriptor.TYPE_BOOL: bool,
    FieldDescriptor.TYPE_INT32: int,
    FieldDescriptor.TYPE_INT64: int,
    FieldDescriptor.TYPE_UINT32: int,
    FieldDescriptor.TYPE_UINT64: int,
}
