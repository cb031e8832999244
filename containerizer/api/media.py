"""Media types: of a request's body, and of the answer that the client accepts.

    Content-Type            application/json | application/x-protobuf | application/recordio
    Message-Content-Type    with recordio: of the records within
    Accept, Message-Accept  the same for the answer

Calls that send a stream have RecordIO bodies, and no others do. Those that are answered by one may
be asked for it as `application/recordio`, with the type of its records in `Message-Accept`. Asked
for a plain type they answer in RecordIO all the same, labelled with that type: so the predecessor
did, and its clients rely on it.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from containerizer.api import json_format
from containerizer.api.errors import BadRequest, NotAcceptable, UnsupportedMediaType
from launcher.data import Data

JSON = "application/json"
PROTOBUF = "application/x-protobuf"
RECORDIO = "application/recordio"

_MESSAGES = (JSON, PROTOBUF)  # in the order in which an answer's is chosen
_KNOWN = 64  # of clients that write in one way: few ways are ever met

M = TypeVar("M", bound=Message)


class Body(Data):
    """How the client writes."""

    message: str  # JSON or PROTOBUF
    streams: bool  # in RecordIO


class Answer(Data):
    """How the client wants to be answered."""

    content: str  # the Content-Type
    message: str  # of the records, where it is RECORDIO; or else the same
    streams: bool  # RECORDIO was asked for, or a type for its records

    @property
    def headers(self) -> dict[str, str]:
        """Of the response."""
        named = {"Content-Type": self.content}
        return named | {"Message-Content-Type": self.message} if self.content == RECORDIO else named


def encode(message: Message, media_type: str) -> bytes:
    """The message in one of the two encodings."""
    return json_format.dumps(message) if media_type == JSON else message.SerializeToString()


def decode(data: bytes, media_type: str, kind: type[M]) -> M:
    """The message, whole or not: see `api.validation`. Raises BadRequest."""
    if media_type == JSON:
        return json_format.loads(data, kind)
    message = kind()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise BadRequest(f"the body is no protobuf {kind.DESCRIPTOR.name}: {error}") from None
    return message


def body_of(headers: Mapping[str, str]) -> Body:
    """Raises BadRequest, UnsupportedMediaType."""
    return _body(headers.get("Content-Type"), headers.get("Message-Content-Type"))


@functools.lru_cache(maxsize=_KNOWN)
def _body(content: str | None, within: str | None) -> Body:
    content, within = _named(content), _named(within)
    if content is None:
        raise BadRequest("expecting 'Content-Type' to be present")
    if content == RECORDIO:
        return Body(_within(within), True)
    if content not in _MESSAGES:
        raise UnsupportedMediaType(f"'Content-Type' is {content!r}", hint=_one_of(*_MESSAGES, RECORDIO))
    if within is not None:
        raise UnsupportedMediaType("'Message-Content-Type' is for bodies in RecordIO")
    return Body(content, False)


def _within(within: str | None) -> str:
    if within is None:
        raise BadRequest("expecting 'Message-Content-Type' to be present")
    if within not in _MESSAGES:
        raise UnsupportedMediaType(f"'Message-Content-Type' is {within!r}", hint=_one_of(*_MESSAGES))
    return within


def answer_to(headers: Mapping[str, str]) -> Answer:
    """What the client accepts, the first of JSON, protobuf and RecordIO. Raises NotAcceptable."""
    return _answer(headers.get("Accept"), headers.get("Message-Accept"))


@functools.lru_cache(maxsize=_KNOWN)
def _answer(accepted: str | None, wanted: str | None) -> Answer:
    for content in _MESSAGES:
        if accepts(accepted, content):
            return Answer(content, content, wanted is not None)
    if not accepts(accepted, RECORDIO):
        raise NotAcceptable(f"'Accept' is {accepted!r}", hint=_one_of(*_MESSAGES, RECORDIO))
    for content in _MESSAGES:
        if accepts(wanted, content):
            return Answer(RECORDIO, content, True)
    raise NotAcceptable(f"'Message-Accept' is {wanted!r}", hint=_one_of(*_MESSAGES))


def accepts(header: str | None, media_type: str) -> bool:
    """Whether the most specific range that covers the type has a weight (RFC 9110, 12.5.1)."""
    if header is None:
        return True
    weights = dict(_range(text) for text in header.split(",") if text.strip())
    for pattern in (media_type, f"{media_type.partition('/')[0]}/*", "*/*"):
        if pattern in weights:
            return weights[pattern] > 0
    return False


def _range(text: str) -> tuple[str, float]:
    pattern, *parameters = (part.strip().lower() for part in text.split(";"))
    weights = [value for name, _, value in (p.partition("=") for p in parameters) if name.strip() == "q"]
    try:
        return pattern, float(weights[0]) if weights else 1.0
    except ValueError:
        return pattern, 0.0


def _named(header: str | None) -> str | None:
    """The media type without its parameters."""
    return None if header is None else header.partition(";")[0].strip().lower()


def _one_of(*types: str) -> str:
    return f"use one of {', '.join(types)}"
