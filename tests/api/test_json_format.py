"""JSON as the predecessor writes and reads it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf import json_format as reader
from hypothesis import given, settings
from hypothesis import strategies as st

from containerizer.api import json_format
from containerizer.api.errors import BadRequest
from containerizer.api.proto import agent_pb2 as agent
from containerizer.api.proto import containers_pb2 as containers
from containerizer.api.proto import resources_pb2 as resources
from containerizer.api.proto import values_pb2 as values


def test_whole_numbers_are_numbers_however_large() -> None:
    assert json_format.to_json(values.TimeInfo(nanoseconds=1 << 62)) == {"nanoseconds": 1 << 62}
    assert json.loads(json_format.dumps(values.TimeInfo(nanoseconds=1 << 62)))["nanoseconds"] == 1 << 62


def test_bytes_are_base64_and_enums_go_by_name() -> None:
    secret = values.Secret(type=values.Secret.VALUE, value=values.Secret.Value(data=b"\xff\x00"))
    assert json_format.to_json(secret) == {"type": "VALUE", "value": {"data": "/wA="}}


def test_a_default_of_the_schema_is_written_unless_deprecated() -> None:
    assert json_format.to_json(containers.CommandInfo(value="ls")) == {"value": "ls", "shell": True}
    resource = resources.Resource(name="cpus", type=values.Value.SCALAR)
    assert "role" not in json_format.to_json(resource)


def test_lists_and_maps() -> None:
    launch = agent.Call.LaunchContainer(container_id=values.ContainerID(value="a"))
    launch.limits["mem"].value = 64
    launch.resources.add(name="cpus", type=values.Value.SCALAR, scalar=values.Value.Scalar(value=0.5))
    assert json_format.to_json(launch) == {
        "container_id": {"value": "a"},
        "limits": {"mem": {"value": 64.0}},
        "resources": [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.5}}],
    }


def test_what_is_written_reads_back() -> None:
    call = agent.Call(type=agent.Call.READ_FILE)
    call.read_file.path, call.read_file.offset = "/slave/log", 1 << 40
    assert json_format.loads(json_format.dumps(call), agent.Call) == call


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"READ_FILE","read_file":{"path":"é","offset":"7"}}',
        '{"type":8,"readFile":{"path":"é","offset":7},"from_a_later_version":[1]}',
    ],
)
def test_other_forms_are_read_too(text: str) -> None:
    call = json_format.loads(text.encode(), agent.Call)
    assert (call.type, call.read_file.path, call.read_file.offset) == (agent.Call.READ_FILE, "é", 7)


def test_an_unknown_name_of_an_enum_is_no_value() -> None:
    assert not json_format.loads(b'{"type":"FROM_A_LATER_VERSION"}', agent.Call).HasField("type")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"read_file": 3}',
        b'{"read_file": {"\\ud800": 3}}',
        b'{"read_file": {"offset": -1}}',
        b'{"attach_container_input": {"process_io": {"data": {"data": "AAAAA"}}}}',
        b'{"kill_container":{"container_id":' + b'{"parent":' * 5000 + b"{}" + b"}" * 5002,
    ],
    ids=[
        "empty",
        "torn",
        "no object",
        "no text",
        "wrong kind",
        "half a pair",
        "out of range",
        "no base64",
        "deep",
    ],
)
def test_what_is_no_message_is_refused(text: bytes) -> None:
    with pytest.raises(BadRequest):
        json_format.loads(text, agent.Call)


def _values(field: Any) -> st.SearchStrategy[Any]:
    """For a field: most of them what it has to be."""
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return st.dictionaries(st.sampled_from("ab"), _item(field.message_type.fields_by_name["value"]))
    return st.lists(_item(field), max_size=2) if field.is_repeated else _item(field)


def _item(field: Any) -> st.SearchStrategy[Any]:
    numbers = st.integers(-1, 1 << 32)
    kinds: dict[int, st.SearchStrategy[Any]] = {
        field.TYPE_MESSAGE: st.deferred(lambda: _objects(field.message_type)),
        field.TYPE_ENUM: st.sampled_from(["MESOS", "DOCKER", "IPv4", "SCALAR", "OF_A_LATER_VERSION", 1, 99]),
        field.TYPE_BOOL: st.booleans(),
        field.TYPE_DOUBLE: st.floats() | numbers,
        field.TYPE_BYTES: st.just("AAAA"),
    }
    odd = st.sampled_from([None, True, 1, "7", 1.0, {}, [], "\ud800"])
    expected = kinds.get(field.type, st.text(max_size=3) if field.type == field.TYPE_STRING else numbers)
    return st.integers(0, 15).flatmap(lambda number: expected if number else odd)


def _objects(kind: Any) -> st.SearchStrategy[Any]:
    fields = {field.name: _values(field) for field in kind.fields}
    if not fields:
        return st.just({})
    return st.lists(st.sampled_from(sorted(fields)), max_size=3, unique=True).flatmap(
        lambda names: st.fixed_dictionaries({name: fields[name] for name in names})
    )


@settings(max_examples=150, deadline=None)
@given(_objects(agent.Call.LaunchContainer.DESCRIPTOR))
def test_what_is_read_at_once_is_what_protobuf_reads(asked: dict[str, Any]) -> None:
    text = json.dumps(asked).encode()
    expected = agent.Call.LaunchContainer()
    try:
        reader.ParseDict(json.loads(text), expected, ignore_unknown_fields=True)
    except (reader.ParseError, ValueError, TypeError, SystemError):
        with pytest.raises(BadRequest):
            json_format.loads(text, agent.Call.LaunchContainer)
    else:
        assert json_format.loads(text, agent.Call.LaunchContainer) == expected
