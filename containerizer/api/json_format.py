"""Protobuf messages as JSON, by the predecessor's rules and not by protobuf's own.

Names of fields are those of the .proto files, whole numbers are numbers whatever their size, bytes
are base64, enums go by name. A field that is absent but has a default in its .proto file is
written, unless it is deprecated. What is read may also have protobuf's forms; fields and names of
enums that are not known are passed over, as in protobuf's own encoding.
"""

from __future__ import annotations

import base64
import functools
import json
from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from containerizer.api.errors import BadRequest

M = TypeVar("M", bound=Message)

_Field = Any  # a FieldDescriptor; each of protobuf's implementations has a class of its own for it


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
    message = kind()
    try:
        json_format.ParseDict(value, message, ignore_unknown_fields=True)
    except (json_format.ParseError, ValueError, TypeError, RecursionError) as error:
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
