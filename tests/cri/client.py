"""A client of the CRI: every call by its name, with keyword arguments of its request.

with Client(path) as cri:
    cri.Version().runtime_name
    cri.ListImages(filter={"image": {"image": "busybox"}}).images
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from containerizer.cri.proto import services_pb2 as services

TIMEOUT = 60  # seconds until a call counts as hung


class Client:
    """Of one version of the API."""

    def __init__(self, path: str, version: str = "v1") -> None:
        self._channel = grpc.insecure_channel(f"unix:{path}", [("grpc.max_receive_message_length", -1)])
        self._version = version
        self._methods = {
            method.name: (service.name, method)
            for service in services.DESCRIPTOR.services_by_name.values()
            for method in service.methods
        }

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def __getattr__(self, name: str) -> Any:
        service, method = self._methods[name]
        request_type = GetMessageClass(method.input_type)
        kind = self._channel.unary_stream if method.server_streaming else self._channel.unary_unary
        call = kind(
            f"/runtime.{self._version}.{service}/{name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )

        def ask(request: Message | None = None, *, within: float = TIMEOUT, **fields: Any) -> Any:
            return call(request or made(request_type, fields), timeout=within)

        return ask


def made(kind: Any, fields: dict[str, Any]) -> Any:
    """The message of plain values."""
    plain = {name: _plain(value) for name, value in fields.items()}
    return json_format.ParseDict(plain, kind())


def _plain(value: Any) -> Any:
    if isinstance(value, Message):
        return json_format.MessageToDict(value, preserving_proto_field_name=True)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def status_of(error: grpc.RpcError) -> tuple[str, str]:
    """The name of the code, and the details."""
    return error.code().name, error.details()  # type: ignore[attr-defined]


def events(stream: Any) -> Iterator[Any]:
    yield from stream
