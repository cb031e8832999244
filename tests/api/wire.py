"""Protobuf's wire format, written by hand: messages are dictionaries in the form of their JSON.

https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator
from typing import Any

from tests.api.schema import ENUMS, MESSAGES, Field

_VARINT, _FIXED64, _BYTES = 0, 1, 2


def encode(kind: str, value: dict[str, Any]) -> bytes:
    """The message in protobuf."""
    fields = {field.name: field for field in MESSAGES[kind]}
    return b"".join(_field(fields[name], item) for name, item in value.items())


def decode(kind: str, data: bytes) -> dict[str, Any]:
    """What a message says; a field that the schema does not have is an error."""
    fields = {field.number: field for field in MESSAGES[kind]}
    value: dict[str, Any] = {}
    for number, raw in _raw(data):
        field = fields[number]
        item = _scalar_from(field, raw)
        if field.repeated:
            value.setdefault(field.name, []).append(item)
        else:
            value[field.name] = item
    return value


def _field(field: Field, value: Any) -> bytes:
    if field.is_map:
        entries = (
            _string(1, key.encode()) + _string(2, encode(field.kind, item)) for key, item in value.items()
        )
        return b"".join(_string(field.number, entry) for entry in entries)
    return b"".join(_one(field, item) for item in (value if field.repeated else [value]))


def _one(field: Field, value: Any) -> bytes:
    if field.is_enum:
        return _key(field.number, _VARINT) + _varint(ENUMS[field.kind][value])
    if field.kind in ("int32", "int64", "uint32", "uint64", "bool"):
        return _key(field.number, _VARINT) + _varint(int(value) % (1 << 64))
    if field.kind == "double":
        return _key(field.number, _FIXED64) + struct.pack("<d", value)
    if field.kind == "string":
        return _string(field.number, value.encode())
    if field.kind == "bytes":
        return _string(field.number, base64.b64decode(value))
    return _string(field.number, encode(field.kind, value))


def _scalar_from(field: Field, raw: int | bytes) -> Any:
    if isinstance(raw, int):
        if field.is_enum:
            return next(name for name, number in ENUMS[field.kind].items() if number == raw)
        if field.kind == "bool":
            return bool(raw)
        return raw - (1 << 64) if field.kind.startswith("int") and raw >> 63 else raw
    if field.kind == "double":
        return struct.unpack("<d", raw)[0]
    if field.kind == "string":
        return raw.decode()
    if field.kind == "bytes":
        return base64.b64encode(raw).decode()
    return decode(field.kind, raw)


def _raw(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    position = 0
    while position < len(data):
        key, position = _varint_from(data, position)
        if key & 7 == _VARINT:
            value: int | bytes
            value, position = _varint_from(data, position)
        elif key & 7 == _FIXED64:
            value, position = data[position : position + 8], position + 8
        else:
            assert key & 7 == _BYTES, f"wire type {key & 7}"
            length, position = _varint_from(data, position)
            value, position = data[position : position + length], position + length
        yield key >> 3, value


def _varint_from(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


def _key(number: int, wire_type: int) -> bytes:
    return _varint(number << 3 | wire_type)


def _string(number: int, data: bytes) -> bytes:
    return _key(number, _BYTES) + _varint(len(data)) + data
