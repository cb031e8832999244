"""Volumes, and what else of a request changes what a container is made of: asked of an agent, and used."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import Agent, Id, Launch
from tests.api.http import JSON, RECORDIO, Client

pytestmark = pytest.mark.requires("root", "overlay")


def volume(target: str, source: dict[str, Any], mode: str = "RW") -> dict[str, Any]:
    return {"container_path": target, "mode": mode, "source": source}


def of_host(path: Path) -> dict[str, Any]:
    return {"type": "HOST_PATH", "host_path": {"path": str(path)}}


def of_sandbox(name: str, kind: str) -> dict[str, Any]:
    return {"type": "SANDBOX_PATH", "sandbox_path": {"type": kind, "path": name}}


def mesos(**asked: Any) -> dict[str, Any]:
    return {"type": "MESOS", **asked}


def end(client: Client, container_id: Id) -> int:
    asked = {"type": "WAIT_CONTAINER", "wait_container": {"container_id": container_id}}
    status: int = client.answer(asked)["wait_container"]["exit_status"]
    return os.waitstatus_to_exitcode(status)


def call(client: Client, kind: str, **fields: Any) -> tuple[int, dict[str, Any]]:
    """The status, and what a call of our own is answered."""
    with client.call({"type": kind, kind.lower(): fields}) as reply:
        body = reply.body()
        return reply.status, json.loads(body).get(kind.lower(), {}) if reply.status == 200 and body else {}


def test_paths_of_the_host(client: Client, launched: Launch, tmp_path: Path) -> None:
    for name in ("rw", "ro", "at-rw", "at-ro"):
        (tmp_path / name).mkdir()
    volumes = [
        volume(str(tmp_path / "at-rw"), of_host(tmp_path / "rw")),
        volume(str(tmp_path / "at-ro"), of_host(tmp_path / "ro"), "RO"),
    ]
    script = f"echo written > {tmp_path}/at-rw/file; ! touch {tmp_path}/at-ro/file"
    assert end(client, launched(script, container=mesos(volumes=volumes))) == 0
    assert (tmp_path / "rw" / "file").read_text() == "written\n"
    assert list((tmp_path / "ro").iterdir()) == list((tmp_path / "at-rw").iterdir()) == []


def test_what_nested_containers_share(agent: Agent, client: Client, launched: Launch, tmp_path: Path) -> None:
    """A producer and a consumer in one parent; the directory goes with the parent's sandbox."""
    parent = launched("exec sleep 1000")
    shared = of_sandbox("shared", "PARENT")
    writes = mesos(volumes=[volume(str(tmp_path), shared)])
    reads = mesos(volumes=[volume(str(tmp_path), shared, "RO")])
    assert end(client, launched(f"echo produced > {tmp_path}/file", parent, container=writes)) == 0
    script = f"grep produced {tmp_path}/file && ! touch {tmp_path}/file"
    assert end(client, launched(script, parent, container=reads)) == 0
    own = agent.sandbox(parent) / "shared-volumes" / "shared" / "file"
    assert own.read_text() == "produced\n"
    assert list(tmp_path.iterdir()) == []


def test_what_a_container_has_for_itself(client: Client, launched: Launch) -> None:
    own = mesos(volumes=[volume("/mnt", of_sandbox("own", "SELF"))])
    container_id = launched("su -s /bin/sh nobody -c 'echo mine > /mnt/file'", container=own)
    assert end(client, container_id) == 0
    listing = {"path": f"/containers/{container_id['value']}/shared-volumes/own"}
    (found,) = client.answer({"type": "LIST_FILES", "list_files": listing})["list_files"]["file_infos"]
    assert (found["path"].rpartition("/")[2], found["uid"]) == ("file", "nobody")


def test_the_size_of_shared_memory(client: Client, launched: Launch) -> None:
    script = "df -k /dev/shm | awk 'END {exit $2 != 3072}'"
    assert end(client, launched(script, container=mesos(linux_info={"shm_size": 3}))) == 0


def test_the_processes_of_the_parent(client: Client, launched: Launch) -> None:
    parent = launched("exec sleep 1000")
    assert end(client, launched("test $$ = 1", parent)) == 0
    shares = mesos(linux_info={"share_pid_namespace": True})
    assert end(client, launched("test $$ != 1", parent, container=shares)) == 0


def test_a_session_without_an_image_has_none(client: Client, launched: Launch) -> None:
    inner = {"value": "inner", "parent": launched("exec sleep 1000")}
    volumes = [volume("/mnt", of_sandbox("own", "SELF"))]
    asked = {"container_id": inner, "command": {"value": "true"}, "container": mesos(volumes=volumes)}
    call = {"type": "LAUNCH_NESTED_CONTAINER_SESSION", "launch_nested_container_session": asked}
    with client.call(call, accept=RECORDIO, message_accept=JSON) as reply:
        assert (reply.status, b"container.volumes" in reply.body()) == (400, True)


def test_volumes_with_a_name(client: Client, launched: Launch) -> None:
    """Made, listed and removed by calls; used as volumes of the driver of our own."""
    status, made = call(client, "CREATE_VOLUME", name="data", labels={"tier": "db"})
    assert (status, made["driver"]) == (200, "local")
    named = mesos(volumes=[volume("/mnt", {"type": "DOCKER_VOLUME", "docker_volume": {"name": "data"}})])
    user = launched("echo kept > /mnt/file; exec sleep 1000", container=named)
    other = launched("while ! grep kept /mnt/file; do :; done", container=named)
    assert end(client, other) == 0
    assert call(client, "REMOVE_VOLUME", name="data")[0] == 409
    _, found = call(client, "INSPECT_VOLUME", name="data")
    assert set(found["containers"]) == {user["value"], other["value"]}
    assert found["labels"] == {"tier": "db"}
    for each in (user, other):
        call(client, "REMOVE_CONTAINER", container_id=each, force=True)
    _, listed = call(client, "LIST_VOLUMES", filters=["dangling=true"])
    assert [each["name"] for each in listed["volumes"]] == ["data"]
    assert call(client, "PRUNE_VOLUMES") == (200, {})  # it has a name
    _, pruned = call(client, "PRUNE_VOLUMES", all=True)
    assert [each["name"] for each in pruned["volumes"]] == ["data"]
    assert call(client, "INSPECT_VOLUME", name="data")[0] == 404
    assert call(client, "REMOVE_VOLUME", name="data", force=True)[0] == 200


def test_a_source_that_is_missing(client: Client, tmp_path: Path) -> None:
    missing = mesos(volumes=[volume("/mnt", of_host(tmp_path / "no"))])
    asked = {"container_id": {"value": "missing"}, "command": {"value": "true"}, "container": missing}
    with client.call({"type": "LAUNCH_CONTAINER", "launch_container": asked}) as reply:
        assert b"source of a volume is not there" in reply.body()
    assert not (tmp_path / "no").exists()
