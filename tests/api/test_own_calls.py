"""Calls that the predecessor's API lacks, in JSON; and those on images, with a registry."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from containerizer.client import AgentClient, AgentFailed
from containerizer.request import ContainerRequest
from provisioner.registry.options import Credentials
from tests.agent import api
from tests.agent.process import AgentProcess, started
from tests.api.conftest import Agent, Id, Launch
from tests.api.http import JSON, RECORDIO, Client, Reply
from tests.support import images
from tests.support.registry import Registry

pytestmark = pytest.mark.requires("root")


def told(client: Client, kind: str, **fields: Any) -> dict[str, Any]:
    """What a call answers."""
    message = client.answer({"type": kind, kind.lower(): fields})
    answer: dict[str, Any] = message.get(kind.lower(), {})
    return answer


def streamed(client: Client, kind: str, **fields: Any) -> Reply:
    call = {"type": kind, kind.lower(): fields}
    return client.call(call, accept=RECORDIO, message_accept=JSON)


def frames(reply: Reply) -> Iterator[dict[str, Any]]:
    yield from reply.records(JSON)


def test_exec_await_list_and_stop(client: Client, launched: Launch) -> None:
    container_id = launched("trap 'exit 7' TERM; while :; do sleep 0.01; done")
    command = {"shell": True, "value": "exit 3"}
    own = told(client, "EXEC", container_id=container_id, command=command)["container_id"]
    assert own["parent"] == container_id
    ended = told(client, "AWAIT_CONTAINER", container_id=own)
    assert (ended["ended"], ended["container"]["termination"]["code"]) == (True, 3)
    looked = told(client, "AWAIT_CONTAINER", container_id=container_id, timeout={"nanoseconds": 0})
    assert (looked["ended"], looked["container"]["running"]) == (False, True)
    names = [each["container_id"] for each in told(client, "LIST_CONTAINERS", all=True)["containers"]]
    assert container_id in names and own in names
    (process, *_) = told(client, "LIST_PROCESSES", container_id=container_id)["processes"]
    assert process["container_pid"] == 1
    told(client, "STOP_CONTAINER", container_id=container_id, grace_period={"nanoseconds": 60 * 10**9})
    ended = told(client, "AWAIT_CONTAINER", container_id=container_id)
    assert ended["container"]["termination"]["code"] == 7


@pytest.mark.requires("cgroup")
def test_pause_and_unpause(client: Client, launched: Launch) -> None:
    container_id = launched("exec sleep 1000")
    for call, paused in (("PAUSE_CONTAINER", True), ("UNPAUSE_CONTAINER", False)):
        told(client, call, container_id=container_id)
        listed = told(client, "LIST_CONTAINERS")["containers"]
        assert [each["paused"] for each in listed if each["container_id"] == container_id] == [paused]


@pytest.mark.requires("cgroup")
def test_limits_that_a_container_goes_on_within_are_listed(client: Client, launched: Launch) -> None:
    limits = {"pids": {"value": 3}}
    forks = "(for each in 1 2 3 4 5 6; do sleep 300 & done) 2>/dev/null; echo done; exec sleep 300"
    container_id = launched(forks, limits=limits)
    with streamed(client, "FOLLOW_LOGS", container_id=container_id, follow=True) as reply:
        next(frames(reply))
    for _ in range(2):  # while it runs, and after its end
        listed = told(client, "LIST_CONTAINERS", all=True)["containers"]
        (entry,) = [each for each in listed if each["container_id"] == container_id]
        (reached,) = entry["limits_reached"]
        assert (reached["isolator"], reached["resource"], reached["limit"]) == ("cgroups/pids", "pids", 3)
        assert "limit 3" in reached["message"]
        told(client, "STOP_CONTAINER", container_id=container_id, grace_period={"nanoseconds": 0})


def test_follow_logs_and_launch_session(client: Client, launched: Launch) -> None:
    container_id = launched("echo out; echo err >&2")
    with streamed(client, "FOLLOW_LOGS", container_id=container_id, follow=True) as reply:
        found = {(each["stream"], base64.b64decode(each["data"])) for each in frames(reply)}
    assert found == {("STDOUT", b"out\n"), ("STDERR", b"err\n")}
    own: Id = {"value": f"session-{os.urandom(3).hex()}"}
    command = {"shell": True, "value": "echo hello"}
    with streamed(client, "LAUNCH_SESSION", container_id=own, command=command) as reply:
        data = [each["data"]["data"] for each in frames(reply) if each["type"] == "DATA"]
    assert base64.b64decode("".join(data)) == b"hello\n"
    again = {"type": "LAUNCH_SESSION", "launch_session": {"container_id": own, "command": command}}
    with client.call(again, accept=RECORDIO, message_accept=JSON) as reply:
        assert reply.status == 400
    told(client, "REMOVE_CONTAINER", container_id=own, force=True)


def test_copies(client: Client, launched: Launch, tmp_path: Path) -> None:
    container_id = launched("exec sleep 1000")
    (tmp_path / "file").write_text("content\n")
    (tmp_path / "into").mkdir()
    with streamed(client, "COPY_OUT", container_id=container_id, path=f"{tmp_path}/file") as reply:
        archive = b"".join(base64.b64decode(each["archive"]) for each in frames(reply))
    first = {"container_id": container_id, "path": f"{tmp_path}/into"}
    rest = {"archive": base64.b64encode(archive).decode()}
    calls = [{"type": "COPY_IN", "copy_in": each} for each in (first, rest)]
    with client.stream(calls, JSON) as reply:
        assert reply.status == 200, reply.body()
    assert (tmp_path / "into" / "file").read_text() == "content\n"


def test_events(client: Client, launched: Launch) -> None:
    with client.call({"type": "EVENTS"}, accept=RECORDIO, message_accept=JSON) as reply:
        container_id = launched("exit 2")
        ended = next(
            each
            for each in frames(reply)
            if (each["kind"], each.get("subject")) == ("ended", container_id["value"])
        )
    assert ended["details"]["exit_code"] == "2"


@pytest.mark.requires("cgroup")
def test_new_limits_are_the_kernels(agent: Agent, client: Client, launched: Launch) -> None:
    container_id = launched("exec sleep 1000", limits={"mem": {"value": 64}, "pids": {"value": 20}})
    limits = {"mem": {"value": 96}, "pids": {"value": 30}}
    told(client, "UPDATE_CONTAINER", container_id=container_id, limits=limits)
    got = told(client, "GET_CONTAINERS", show_standalone=True)["containers"]
    (own,) = [each for each in got if each["container_id"] == container_id]
    assert own["resource_statistics"]["mem_limit_bytes"] == 96 << 20
    pid = own["container_status"]["executor_pid"]
    assert read_limit(pid, "memory", ("memory.limit_in_bytes", "memory.max")) == 96 << 20
    assert read_limit(pid, "pids", ("pids.max", "pids.max")) == 30
    undone = {"mem": {"value": "Infinity"}}
    told(client, "UPDATE_CONTAINER", container_id=container_id, limits=undone, further={"cpu_shares": 77})
    assert read_limit(pid, "memory", ("memory.limit_in_bytes", "memory.max")) >= 1 << 60
    assert read_limit(pid, "pids", ("pids.max", "pids.max")) == 30


def read_limit(pid: int, controller: str, files: tuple[str, str]) -> int:
    """Of a process' cgroup: proc_pid_cgroup(5), cgroups(7)."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return int(Path(f"/sys/fs/cgroup/{controller}{path}/{files[0]}").read_text())
    for mounted in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
        own = Path(f"{mounted}{line.split(':', 2)[2]}/{files[1]}")
        if own.exists():
            return int(own.read_text().replace("max", str(1 << 63)))
    raise AssertionError(f"no {controller} in the cgroups of {pid}")


# Images ----------------------------------------------------------------------------------------


@pytest.fixture
def near_a_registry(tmp_path: Path) -> Iterator[tuple[AgentProcess, str]]:
    """An agent, and the name of an image that a registry has."""
    with Registry.start(tmp_path / "registry") as registry:
        images.push(images.busybox(), registry.host, "busybox", "latest")
        flags = ("--insecure-registries", registry.host)
        with started(tmp_path / "root", tmp_path / "state", *flags) as agent:
            yield agent, f"{registry.host}/busybox"
            agent.stop()


@pytest.mark.requires("overlay", "registry", "busybox")
def test_images_come_and_go(near_a_registry: tuple[AgentProcess, str]) -> None:
    agent, image = near_a_registry
    status, pulled = api.call(agent, "PULL_IMAGE", name=image, pull="missing")
    assert (status, pulled["pull_image"]["names"]) == (200, [f"{image}:latest"])
    assert pulled["pull_image"]["size"] > 0
    listed = api.call(agent, "LIST_IMAGES")[1]["list_images"]["images"]
    assert [each["id"] for each in listed] == [pulled["pull_image"]["id"]]
    assert api.call(agent, "PULL_IMAGE", name=f"{image}-of-nobody")[0] == 404
    client = AgentClient(f"unix://{agent.socket}")
    name = f"image-{os.urandom(3).hex()}"
    client.launch(ContainerRequest.of(image, ["sleep", "1000"], name=name))
    with pytest.raises(AgentFailed, match="use"):
        client.remove_image(image)
    client.remove(name, force=True)
    assert api.call(agent, "REMOVE_IMAGE", name=image)[0] == 200
    assert api.call(agent, "LIST_IMAGES")[1]["list_images"] == {}
    assert api.call(agent, "REMOVE_IMAGE", name=image)[0] == 404


# bcrypt of "secret": docker-registry takes no other kind.
_USERS = "user:$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n"


@pytest.fixture
def near_a_private_registry(tmp_path: Path) -> Iterator[tuple[AgentProcess, str]]:
    """An agent without credentials, one secret, and the name of an image that takes some."""
    (tmp_path / "users").write_text(_USERS)
    (tmp_path / "secrets").mkdir()
    with Registry.start(tmp_path / "registry") as public:
        images.push(images.busybox(), public.host, "private", "latest")
    with Registry.start(tmp_path / "registry", htpasswd=tmp_path / "users") as registry:
        (tmp_path / "auth.json").write_bytes(_config("user:secret", registry.host))
        (tmp_path / "secrets" / "pull").write_bytes(_config("user:secret", registry.host))
        flags = (f"--insecure-registries={registry.host}", f"--secrets-dir={tmp_path}/secrets")
        with started(tmp_path / "root", tmp_path / "state", *flags, "--secret-resolver=file") as agent:
            yield agent, f"{registry.host}/private"
            agent.stop()


def _config(pair: str, registry: str) -> bytes:
    return json.dumps({"auths": {registry: {"auth": base64.b64encode(pair.encode()).decode()}}}).encode()


@pytest.mark.requires("overlay", "registry", "busybox")
def test_credentials_in_a_request(near_a_private_registry: tuple[AgentProcess, str], tmp_path: Path) -> None:
    agent, image = near_a_private_registry
    host = image.partition("/")[0]

    def pull(config: dict[str, Any] | None) -> int:
        asked = {"config": config} if config is not None else {}
        answer = api.call(agent, "PULL_IMAGE", name=image, **asked)
        assert "user:" not in str(answer)
        return answer[0]

    def value(document: bytes) -> dict[str, Any]:
        return {"type": "VALUE", "value": {"data": base64.b64encode(document).decode()}}

    for refused in (None, value(_config("user:wrong", host)), value(_config("user:secret", "other.example"))):
        assert pull(refused) == 500
    assert pull(value(b"{")) == 400
    assert pull({"type": "REFERENCE", "reference": {"name": "missing"}}) == 400
    assert pull({"type": "REFERENCE", "reference": {"name": "pull"}}) == 200
    assert api.call(agent, "REMOVE_IMAGE", name=image)[0] == 200
    client = AgentClient(f"unix://{agent.socket}")
    request = ContainerRequest.of(image, ["true"], name=f"private-{os.urandom(3).hex()}")
    with pytest.raises(AgentFailed, match=host):
        client.launch(request)
    client.launch(request, credentials=Credentials(username="user", password="secret"))
    client.remove(str(request.container_id), force=True)
    client.remove_image(image)
    argv = [sys.executable, "-m", "containerizer", "--agent", f"unix://{agent.socket}"]
    for options, code in (([], 125), (["--authfile", str(tmp_path / "auth.json")], 0)):
        done = subprocess.run(
            [*argv, "run", "--rm", *options, image, "true"], capture_output=True, timeout=60
        )
        assert done.returncode == code, done.stderr


@pytest.mark.requires("overlay", "registry", "busybox")
def test_the_command_line_pulls_and_removes(near_a_registry: tuple[AgentProcess, str]) -> None:
    agent, image = near_a_registry

    def far(*arguments: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "containerizer", "--agent", f"unix://{agent.socket}", *arguments]
        return subprocess.run(argv, capture_output=True, text=True, timeout=60)

    assert far("pull", image).stdout == f"{image}\n"
    assert image in far("images").stdout
    done = far("pull", f"{image}-of-nobody", image)
    assert (done.returncode, done.stdout) == (125, f"{image}\n")
    assert far("rmi", image).stdout == f"{image}\n"
    assert image not in far("images").stdout
    assert far("rmi", image).returncode == 125
