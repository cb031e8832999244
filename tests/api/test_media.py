"""Which types a request may have and be answered in."""

from __future__ import annotations

import pytest

from containerizer.api import media
from containerizer.api.errors import BadRequest, NotAcceptable, UnsupportedMediaType
from containerizer.api.media import JSON, PROTOBUF, RECORDIO, Answer, Body
from containerizer.api.proto import agent_pb2 as agent


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"Content-Type": JSON}, Body(JSON, False)),
        ({"Content-Type": "Application/JSON; charset=utf-8"}, Body(JSON, False)),
        ({"Content-Type": PROTOBUF}, Body(PROTOBUF, False)),
        ({"Content-Type": RECORDIO, "Message-Content-Type": JSON}, Body(JSON, True)),
        ({"Content-Type": RECORDIO, "Message-Content-Type": PROTOBUF}, Body(PROTOBUF, True)),
    ],
)
def test_bodies(headers: dict[str, str], body: Body) -> None:
    assert media.body_of(headers) == body


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ({}, BadRequest),
        ({"Content-Type": "text/plain"}, UnsupportedMediaType),
        ({"Content-Type": RECORDIO}, BadRequest),
        ({"Content-Type": RECORDIO, "Message-Content-Type": RECORDIO}, UnsupportedMediaType),
        ({"Content-Type": JSON, "Message-Content-Type": JSON}, UnsupportedMediaType),
    ],
)
def test_refused_bodies(headers: dict[str, str], error: type[Exception]) -> None:
    with pytest.raises(error):
        media.body_of(headers)


@pytest.mark.parametrize(
    ("headers", "answer"),
    [
        ({}, Answer(JSON, JSON, False)),
        ({"Accept": "*/*"}, Answer(JSON, JSON, False)),
        ({"Accept": "application/*;q=0.1"}, Answer(JSON, JSON, False)),
        ({"Accept": PROTOBUF}, Answer(PROTOBUF, PROTOBUF, False)),
        ({"Accept": f"{PROTOBUF}, {JSON}"}, Answer(JSON, JSON, False)),
        ({"Accept": f"{JSON};q=0, */*"}, Answer(PROTOBUF, PROTOBUF, False)),
        ({"Accept": RECORDIO}, Answer(RECORDIO, JSON, True)),
        ({"Accept": RECORDIO, "Message-Accept": PROTOBUF}, Answer(RECORDIO, PROTOBUF, True)),
        ({"Accept": JSON, "Message-Accept": JSON}, Answer(JSON, JSON, True)),
    ],
)
def test_answers(headers: dict[str, str], answer: Answer) -> None:
    assert media.answer_to(headers) == answer


@pytest.mark.parametrize(
    "headers",
    [{"Accept": "text/html"}, {"Accept": f"{JSON};q=x"}, {"Accept": RECORDIO, "Message-Accept": "text/html"}],
)
def test_refused_answers(headers: dict[str, str]) -> None:
    with pytest.raises(NotAcceptable):
        media.answer_to(headers)


def test_what_is_no_protobuf_is_refused() -> None:
    with pytest.raises(BadRequest):
        media.decode(b"\x0a\xff", PROTOBUF, agent.Call)
