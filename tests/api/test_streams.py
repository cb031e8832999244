"""Input, output and sessions over the API, in both encodings."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import Agent, Id, Launch, new_id
from tests.api.http import JSON, PROTOBUF, RECORDIO, Client, Reply, Upload
from tests.support import images

pytestmark = [pytest.mark.requires("root"), pytest.mark.parametrize("media", [JSON, PROTOBUF])]

CAT = "exec cat"
WITH_STDIN = {"options": {"stdin": True}}


def attach(client: Client, container_id: Id, media: str) -> Reply:
    call = {"type": "ATTACH_CONTAINER_OUTPUT", "attach_container_output": {"container_id": container_id}}
    reply = client.call(call, media, accept=RECORDIO, message_accept=media)
    assert reply.status == 200, reply.body()
    assert reply.content_type == RECORDIO
    return reply


def written(reply: Reply, media: str) -> Iterator[tuple[str, bytes]]:
    """(stream, bytes) of what was written; heartbeats are passed over."""
    for record in reply.records(media):
        if record["type"] == "DATA":
            yield record["data"]["type"], base64.b64decode(record["data"]["data"])


def input_of(container_id: Id) -> dict[str, Any]:
    return _input({"type": "CONTAINER_ID", "container_id": container_id})


def typed(data: bytes) -> dict[str, Any]:
    encoded = base64.b64encode(data).decode()
    return _io({"type": "DATA", "data": {"type": "STDIN", "data": encoded}})


def resized(rows: int, columns: int) -> dict[str, Any]:
    size = {"window_size": {"rows": rows, "columns": columns}}
    return _io({"type": "CONTROL", "control": {"type": "TTY_INFO", "tty_info": size}})


HEARTBEAT = {
    "type": "CONTROL",
    "control": {"type": "HEARTBEAT", "heartbeat": {"interval": {"nanoseconds": 30 * 10**9}}},
}


def _io(record: dict[str, Any]) -> dict[str, Any]:
    return _input({"type": "PROCESS_IO", "process_io": record})


def _input(record: dict[str, Any]) -> dict[str, Any]:
    return {"type": "ATTACH_CONTAINER_INPUT", "attach_container_input": record}


def exit_status(client: Client, container_id: Id) -> int:
    answer = client.answer({"type": "WAIT_CONTAINER", "wait_container": {"container_id": container_id}})
    status: int = answer["wait_container"]["exit_status"]
    return status


# Output ------------------------------------------------------------------------------------------


def test_output_is_replayed_and_comes_by_stream(client: Client, launched: Launch, media: str) -> None:
    container_id = launched("echo out; echo err >&2; exec sleep 1000")
    with attach(client, container_id, media) as first, attach(client, container_id, media) as second:
        for reply in (first, second):
            pieces = written(reply, media)
            assert {next(pieces), next(pieces)} == {("STDOUT", b"out\n"), ("STDERR", b"err\n")}


def test_a_silent_task_sends_signs_of_life(client: Client, launched: Launch, media: str) -> None:
    with attach(client, launched("exec sleep 1000"), media) as reply:
        record = next(reply.records(media))
    assert record["type"] == "CONTROL"
    assert record["control"]["type"] == "HEARTBEAT"
    assert record["control"]["heartbeat"]["interval"]["nanoseconds"] == 50_000_000


def test_the_stream_ends_with_the_task(client: Client, launched: Launch, media: str) -> None:
    container_id = launched(CAT, **WITH_STDIN)
    with attach(client, container_id, media) as reply:
        with client.stream([input_of(container_id), typed(b"hello"), typed(b"")], media) as done:
            assert done.status == 200, done.body()
        assert b"".join(data for _, data in written(reply, media)) == b"hello"
    assert exit_status(client, container_id) == 0


def test_asked_for_a_plain_type_it_is_recordio_all_the_same(
    client: Client, launched: Launch, media: str
) -> None:
    container_id = launched("echo plain; exec sleep 1000")
    call = {"type": "ATTACH_CONTAINER_OUTPUT", "attach_container_output": {"container_id": container_id}}
    with client.call(call, media) as reply:
        assert reply.content_type == media
        assert next(written(reply, media)) == ("STDOUT", b"plain\n")


# Input -------------------------------------------------------------------------------------------


def test_a_connection_that_only_probes_leaves_the_input_open(
    client: Client, launched: Launch, media: str
) -> None:
    container_id = launched(CAT, **WITH_STDIN)
    with client.stream([input_of(container_id)], media) as probe:
        assert probe.status == 200, probe.body()
    with client.stream([input_of(container_id), typed(b"later"), typed(b"")], media) as done:
        assert done.status == 200, done.body()
    assert exit_status(client, container_id) == 0


def test_one_client_writes_at_a_time(agent: Agent, client: Client, launched: Launch, media: str) -> None:
    container_id = launched("cat; exec sleep 1000", **WITH_STDIN)
    writer = Upload(agent.socket, media)
    writer.send(input_of(container_id))
    writer.send(typed(b"mine\n"))
    with attach(client, container_id, media) as reply:
        assert next(written(reply, media)) == ("STDOUT", b"mine\n")  # so it has been let in
    with client.stream([input_of(container_id)], media) as second:
        assert second.status == 409
    with writer.finish() as first:
        assert first.status == 200
    with client.stream([input_of(container_id)], media) as third:
        assert third.status == 200


def test_an_open_input_is_answered_when_the_task_ends(
    agent: Agent, client: Client, launched: Launch, media: str
) -> None:
    container_id = launched("read line; exit 3", **WITH_STDIN)
    writer = Upload(agent.socket, media)
    writer.send(input_of(container_id))
    writer.send(_io(HEARTBEAT))
    writer.send(typed(b"go\n"))
    with writer.reply() as reply:
        assert reply.status == 200
    assert exit_status(client, container_id) == 3 << 8


def test_a_terminal_and_its_size(agent: Agent, client: Client, launched: Launch, media: str) -> None:
    tty = {"type": "MESOS", "tty_info": {"window_size": {"rows": 11, "columns": 22}}}
    container_id = launched("stty size; read line; stty size", container=tty)
    writer = Upload(agent.socket, media)
    writer.send(input_of(container_id))
    with attach(client, container_id, media) as reply:
        pieces = written(reply, media)
        seen = b""
        while b"11 22" not in seen:
            seen += next(pieces)[1]
        writer.send(resized(33, 44))
        writer.send(typed(b"\n"))
        for stream, data in pieces:
            assert stream == "STDOUT"
            seen += data
    assert seen.split() == [b"11", b"22", b"33", b"44"]
    with writer.finish() as done:
        assert done.status == 200


@pytest.mark.parametrize(
    "record",
    [
        resized(1, 2),
        _io({"type": "DATA", "data": {"type": "STDOUT", "data": "eA=="}}),
        _io({}),
        _input({"type": "CONTAINER_ID", "container_id": {"value": "other"}}),
        {"type": "GET_HEALTH"},
    ],
    ids=["no terminal", "no stdin", "empty", "a second first", "another call"],
)
def test_records_that_are_no_input(
    client: Client, launched: Launch, media: str, record: dict[str, Any]
) -> None:
    container_id = launched("exec sleep 1000", **WITH_STDIN)
    with client.stream([input_of(container_id), record], media) as reply:
        assert reply.status == 400


def test_input_that_names_no_container(client: Client, media: str) -> None:
    with client.stream([typed(b"x")], media) as reply:
        assert reply.status == 400
    with client.stream([input_of(new_id("nobody"))], media) as reply:
        assert reply.status == 404
    with client.call(input_of(new_id("nobody")), media) as reply:
        assert reply.status == 415


# Sessions ----------------------------------------------------------------------------------------


def session(client: Client, container_id: Id, script: str, media: str, **more: Any) -> Reply:
    asked = {"container_id": container_id, "command": {"value": script, "shell": True}, **more}
    call = {
        "type": "LAUNCH_NESTED_CONTAINER_SESSION",
        "launch_nested_container_session": asked,
    }
    return client.call(call, media, accept=RECORDIO, message_accept=media)


def test_a_session_sees_its_parents_processes(client: Client, launched: Launch, media: str) -> None:
    parent = launched("exec sleep 1234")
    container_id = new_id("session", parent)
    with session(client, container_id, "tr '\\0' ' ' < /proc/1/cmdline; exit 5", media) as reply:
        assert reply.status == 200, reply.body()
        assert b"".join(data for _, data in written(reply, media)) == b"sleep 1234 "
    assert exit_status(client, container_id) == 5 << 8


@pytest.mark.requires("overlay", "busybox")
def test_tools_in_a_session(client: Client, launched: Launch, media: str, tmp_path: Path) -> None:
    tools = f"oci:{images.write_layout([('tools', images.busybox())], tmp_path / 'tools')}:tools"
    container_id = new_id("session", launched("exec sleep 1234"))
    image = {"type": "DOCKER", "docker": {"name": tools}, "cached": True}
    container = {"type": "MESOS", "mesos": {"image": image}}
    script = "tr '\\0' ' ' < /proc/1/cmdline; test -e /target/usr/bin/env && ! test -e /usr/bin/env && exit 5"
    with session(client, container_id, script, media, container=container) as reply:
        assert reply.status == 200, reply.body()
        assert b"".join(data for _, data in written(reply, media)) == b"sleep 1234 "
    assert exit_status(client, container_id) == 5 << 8


def test_a_session_takes_input(agent: Agent, client: Client, launched: Launch, media: str) -> None:
    container_id = new_id("session", launched("exec sleep 1000"))
    with session(client, container_id, CAT, media) as reply:
        assert reply.status == 200, reply.body()
        with client.stream([input_of(container_id), typed(b"typed"), typed(b"")], media) as done:
            assert done.status == 200, done.body()
        assert list(written(reply, media)) == [("STDOUT", b"typed")]


def test_who_breaks_the_connection_ends_the_session(client: Client, launched: Launch, media: str) -> None:
    container_id = new_id("session", launched("exec sleep 1000"))
    with session(client, container_id, "echo up; exec sleep 1000", media) as reply:
        assert next(written(reply, media)) == ("STDOUT", b"up\n")
    assert exit_status(client, container_id) == 9


def test_sessions_that_cannot_be(client: Client, launched: Launch, media: str) -> None:
    parent = launched("exec sleep 1000")
    for container_id in (new_id("orphan"), new_id("orphan", new_id("nobody")), parent):
        with session(client, container_id, "true", media) as reply:
            assert reply.status == 400
    with session(client, new_id("failed", parent), "true", media, command={"shell": True}) as reply:
        assert reply.status == 400
