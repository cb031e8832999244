"""JSON as the predecessor writes and reads it."""

from __future__ import annotations

import json

import pytest

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
        b'{"read_file": {"offset": -1}}',
        b'{"attach_container_input": {"process_io": {"data": {"data": "AAAAA"}}}}',
        b'{"kill_container":{"container_id":' + b'{"parent":' * 5000 + b"{}" + b"}" * 5002,
    ],
    ids=["empty", "torn", "no object", "no text", "wrong kind", "out of range", "no base64", "deep"],
)
def test_what_is_no_message_is_refused(text: bytes) -> None:
    with pytest.raises(BadRequest):
        json_format.loads(text, agent.Call)
