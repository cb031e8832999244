"""Every call of the predecessor's API in JSON, protobuf and RecordIO, by a client that knows numbers only."""

from __future__ import annotations

import os
import subprocess
from typing import Any

import pytest

from tests.api.conftest import new_id
from tests.api.http import JSON, PROTOBUF, RECORDIO, Client, encoded
from tests.api.schema import ENUMS

pytestmark = pytest.mark.requires("root")

MEDIA = (JSON, PROTOBUF)
ID = {"container_id": new_id("table")}
NAME = ID["container_id"]["value"]
NESTED = {"container_id": {"value": "inner", "parent": ID["container_id"]}}
NOBODY = {"container_id": {"value": "nobody"}}
NOBODY_IN = {"container_id": {"value": "nobody", "parent": ID["container_id"]}}
SLEEP = {"value": "exec sleep 1000", "shell": True}

METRICS = [{"name": "slave/cpus_total", "value": 2.0}, {"name": "slave/uptime_secs", "value": 1.5}]

# Call → what it carries, the status of its answer, and what the answer says at least (None: nothing at all).
# In this order: the launches come before what needs them.
TABLE: list[tuple[str, dict[str, Any] | None, int, dict[str, Any] | None]] = [
    ("GET_HEALTH", None, 200, {"healthy": True}),
    ("GET_FLAGS", None, 200, {"flags": [{"name": "launcher", "value": "linux"}]}),
    ("GET_VERSION", None, 200, {}),
    ("GET_METRICS", {}, 200, {"metrics": METRICS}),
    ("GET_METRICS", {"timeout": {"nanoseconds": 10**9}}, 200, {}),
    ("GET_LOGGING_LEVEL", None, 200, {"level": 0}),
    ("SET_LOGGING_LEVEL", {"level": 1, "duration": {"nanoseconds": 3600 * 10**9}}, 200, None),
    ("GET_LOGGING_LEVEL", None, 200, {"level": 1}),
    ("SET_LOGGING_LEVEL", {"level": 0, "duration": {"nanoseconds": 0}}, 200, None),
    ("LAUNCH_CONTAINER", {**ID, "command": SLEEP}, 200, None),
    ("LAUNCH_CONTAINER", {**ID, "command": SLEEP}, 202, None),
    ("LAUNCH_CONTAINER", {"container_id": {"value": "a/b"}, "command": SLEEP}, 400, None),
    ("LAUNCH_CONTAINER", {**NOBODY, "command": {"value": "/no/such", "shell": False}}, 400, None),
    ("LAUNCH_NESTED_CONTAINER", {**NESTED, "command": SLEEP}, 200, None),
    ("LAUNCH_NESTED_CONTAINER", {**NESTED, "command": SLEEP}, 202, None),
    ("LAUNCH_NESTED_CONTAINER", {**NOBODY, "command": SLEEP}, 400, None),
    ("LIST_FILES", {"path": f"/containers/{NAME}"}, 200, {}),
    ("LIST_FILES", {"path": "/containers/nobody"}, 404, None),
    ("READ_FILE", {"path": "/slave/log", "offset": 4, "length": 5}, 200, {"size": 16, "data": "YWdlbnQ="}),
    ("READ_FILE", {"path": "/slave/log", "offset": 99}, 200, {"size": 16, "data": ""}),
    ("READ_FILE", {"path": "/etc/passwd", "offset": 0}, 404, None),
    ("READ_FILE", {"path": f"/containers/{NAME}", "offset": 0}, 400, None),
    ("GET_STATE", None, 200, {"get_tasks": {}, "get_executors": {}, "get_frameworks": {}}),
    ("GET_FRAMEWORKS", None, 200, {}),
    ("GET_EXECUTORS", None, 200, {}),
    ("GET_TASKS", None, 200, {}),
    ("GET_OPERATIONS", None, 200, {}),
    ("GET_RESOURCE_PROVIDERS", None, 200, {}),
    ("GET_AGENT", None, 200, {}),
    ("GET_CONTAINERS", {}, 200, {}),
    ("GET_CONTAINERS", {"show_nested": True, "show_standalone": True}, 200, {}),
    ("REMOVE_CONTAINER", ID, 500, None),
    ("REMOVE_NESTED_CONTAINER", NESTED, 500, None),
    ("KILL_NESTED_CONTAINER", {**NESTED, "signal": 9}, 200, None),
    ("WAIT_NESTED_CONTAINER", NESTED, 200, {"exit_status": 9}),
    ("WAIT_CONTAINER", NESTED, 200, {"exit_status": 9}),
    ("REMOVE_NESTED_CONTAINER", NESTED, 200, None),
    ("WAIT_NESTED_CONTAINER", NESTED, 404, None),
    ("KILL_NESTED_CONTAINER", NOBODY_IN, 404, None),
    ("KILL_CONTAINER", {**ID, "signal": 99}, 400, None),
    ("KILL_CONTAINER", ID, 200, None),
    ("WAIT_CONTAINER", ID, 200, {"exit_status": 9}),
    ("KILL_CONTAINER", ID, 404, None),
    ("ATTACH_CONTAINER_OUTPUT", ID, 500, None),
    ("REMOVE_CONTAINER", ID, 200, None),
    ("REMOVE_CONTAINER", ID, 500, None),
    ("WAIT_CONTAINER", NOBODY, 404, None),
    ("KILL_CONTAINER", NOBODY, 404, None),
    ("ATTACH_CONTAINER_OUTPUT", NOBODY, 404, None),
    ("PRUNE_IMAGES", {}, 200, None),
    ("PRUNE_IMAGES", {"excluded_images": [{"type": "DOCKER", "docker": {"name": "busybox"}}]}, 200, None),
    ("ADD_RESOURCE_PROVIDER_CONFIG", None, 501, None),
    ("UPDATE_RESOURCE_PROVIDER_CONFIG", None, 501, None),
    ("REMOVE_RESOURCE_PROVIDER_CONFIG", None, 501, None),
    ("MARK_RESOURCE_PROVIDER_GONE", None, 501, None),
    ("UNKNOWN", None, 501, None),
]  # fmt: skip

STREAMS = ("LAUNCH_NESTED_CONTAINER_SESSION", "ATTACH_CONTAINER_OUTPUT")
INPUTS = ("ATTACH_CONTAINER_INPUT",)
MUST_CARRY = [
    *("GET_METRICS", "SET_LOGGING_LEVEL", "LIST_FILES", "READ_FILE", "GET_CONTAINERS", "LAUNCH_CONTAINER"),
    *("WAIT_CONTAINER", "KILL_CONTAINER", "REMOVE_CONTAINER", "PRUNE_IMAGES", *STREAMS),
    *("LAUNCH_NESTED_CONTAINER", "WAIT_NESTED_CONTAINER", "KILL_NESTED_CONTAINER", "REMOVE_NESTED_CONTAINER"),
]


def call_of(name: str, carries: dict[str, Any] | None) -> dict[str, Any]:
    return {"type": name} | ({} if carries is None else {name.lower(): carries})


def test_the_table_has_every_call() -> None:
    assert {name for name, *_ in TABLE} | set(STREAMS) | set(INPUTS) == set(ENUMS["CallType"])


@pytest.mark.parametrize("media_type", MEDIA)
def test_the_table(client: Client, media_type: str) -> None:
    for name, carries, status, says in TABLE:
        where = f"{name} {carries}"
        with client.call(call_of(name, carries), media_type) as reply:
            assert reply.status == status, f"{where}: {reply.body()!r}"
            if says is None:
                assert status not in (200, 202) or reply.body() == b"", where
                continue
            assert reply.content_type == media_type, where
            message = reply.message()
            assert message["type"] == name, where
            assert says.items() <= message[name.lower()].items(), f"{where}: {message}"


@pytest.mark.parametrize("media_type", MEDIA)
def test_request_and_answer_may_be_of_two_types(client: Client, media_type: str) -> None:
    other = next(each for each in MEDIA if each != media_type)
    with client.call({"type": "GET_HEALTH"}, media_type, accept=other) as reply:
        assert reply.message() == {"type": "GET_HEALTH", "get_health": {"healthy": True}}
        assert reply.content_type == other


@pytest.mark.parametrize("media_type", MEDIA)
@pytest.mark.parametrize("name", [name for name in ENUMS["CallType"] if name not in (*STREAMS, *INPUTS)])
def test_a_call_that_is_no_stream_knows_no_recordio(client: Client, name: str, media_type: str) -> None:
    call = call_of(name, {} if name in ("GET_METRICS", "GET_CONTAINERS") else None)
    status = 501 if name == "UNKNOWN" else 415
    with client.stream([call], media_type) as reply:
        assert reply.status == status
    if name not in MUST_CARRY and name != "UNKNOWN":
        for headers in ({"accept": RECORDIO}, {"message_accept": media_type}):
            with client.call(call, media_type, **headers) as reply:
                assert reply.status == 406


@pytest.mark.parametrize("media_type", MEDIA)
@pytest.mark.parametrize("name", MUST_CARRY)
def test_what_a_call_must_carry(client: Client, name: str, media_type: str) -> None:
    with client.call({"type": name}, media_type) as reply:
        assert reply.status == 400
        assert f"expecting '{name.lower()}' to be present" in reply.body().decode()


@pytest.mark.parametrize(
    "name", ["EXEC", "PAUSE_CONTAINER", "FOLLOW_LOGS", "COPY_OUT", "PULL_IMAGE", "STOP_CONTAINER"]
)
def test_calls_of_our_own_in_json(client: Client, name: str) -> None:
    with client.call({"type": name}) as reply:
        assert reply.status == 400
        assert f"expecting '{name.lower()}' to be present" in reply.body().decode()
    (listed,) = client.answer({"type": "LIST_CONTAINERS"})["list_containers"]["containers"]
    assert (listed["state"], listed["running"], listed["stdio"]) == ("running", True, "pipes")


@pytest.mark.parametrize("media_type", MEDIA)
def test_a_required_field_within(client: Client, media_type: str) -> None:
    with client.call({"type": "READ_FILE", "read_file": {"path": "/slave/log"}}, media_type) as reply:
        assert reply.status == 400
        assert "'read_file.offset'" in reply.body().decode()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 400),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": JSON, "Message-Content-Type": JSON}, 415),
        ({"Content-Type": RECORDIO}, 400),
        ({"Content-Type": RECORDIO, "Message-Content-Type": "text/plain"}, 415),
        ({"Content-Type": JSON, "Accept": "text/html"}, 406),
        ({"Content-Type": JSON, "Accept": "text/html, */*;q=0.1"}, 200),
        ({"Content-Type": JSON, "Accept": f"{PROTOBUF}, {JSON}"}, 200),
        ({"Content-Type": JSON}, 200),
    ],
)
def test_headers(client: Client, headers: dict[str, str], status: int) -> None:
    with client.post(b'{"type":"GET_HEALTH"}', headers) as reply:
        assert reply.status == status
        if status == 200:
            assert reply.content_type == JSON


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"x", 400),
        (b"{}", 400),
        (b'{"type":"NO_SUCH"}', 400),
        (b"[]", 400),
        (b"{" * 5_000_000, 413),
    ],
    ids=["empty", "no JSON", "no type", "unknown type", "no object", "too long"],
)
def test_bodies_that_are_no_calls(client: Client, body: bytes, status: int) -> None:
    with client.post(body, {"Content-Type": JSON}) as reply:
        assert reply.status == status


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        (b'{"type": "GET_CONTANERS"}', "'GET_CONTANERS' is none; did you mean GET_CONTAINERS?"),
        (b'{"type": "get_state"}', "'get_state' is none; did you mean GET_STATE?"),
        (b'{"tpye": "GET_STATE"}', "it is one of "),
    ],
)
def test_a_type_that_is_none(client: Client, body: bytes, hint: str) -> None:
    with client.post(body, {"Content-Type": JSON}) as reply:
        assert f"expecting 'type' to be present; {hint}" in reply.body().decode()


@pytest.mark.parametrize(
    "body", [b"", b"5\n", b"x\n", b"2\n{}"], ids=["empty", "torn", "no length", "no type"]
)
def test_streams_without_a_first_record(client: Client, body: bytes) -> None:
    with client.post(body, {"Content-Type": RECORDIO, "Message-Content-Type": JSON}) as reply:
        assert reply.status == 400


@pytest.mark.requires("protoc")
def test_protoc_sees_the_same_numbers(client: Client) -> None:
    """What protoc reads of an answer without knowing any schema."""
    body = encoded({"type": "GET_AGENT"}, PROTOBUF)
    with client.post(body, {"Content-Type": PROTOBUF, "Accept": PROTOBUF}) as reply:
        seen = subprocess.run(
            ["protoc", "--decode_raw"], input=reply.body(), capture_output=True, check=True, timeout=60
        )
    lines = seen.stdout.decode().splitlines()
    assert lines[:4] == ["1: 14", "15 {", "  1 {", f'    1: "{os.uname().nodename}"']
