"""Who asks, and what is shown to whom: the client library and an agent at TCP."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from containerizer.agent.credentials import hash_secret
from containerizer.api.proto.agent_pb2 import Call
from containerizer.client import AgentClient, AgentFailed, AgentUnreachable, Credentials
from containerizer.request import ContainerRequest
from tests.agent.process import started
from tests.api.conftest import new_id
from tests.support.authority import Authority, Certificate

pytestmark = pytest.mark.requires("root", "openssl")

RULES = """
rules = [
    {principals = ["ops"], calls = ["*"]},
    {principals = ["web"], calls = ["LIST_CONTAINERS", "LIST_FILES"], containers = ["db-*"], allow = false},
    {principals = ["web"], calls = ["LIST_CONTAINERS"]},
    {principals = ["web", "dev"], calls = ["*"], containers = ["web-*"]},
]
"""


_NAMES = ("ops", "web", "dev", "nobody")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


class Place:
    """An agent at a TCP port, and the files that it takes to speak to it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.authority = Authority.make(directory / "ca")
        self.url = f"https://127.0.0.1:{(port := free_port())}"
        server = self.authority.issue("agent")
        entries = [{"principal": name, "secret": hash_secret(f"{name}'s")} for name in _NAMES]
        (directory / "credentials").write_text(json.dumps({"credentials": entries}))
        (directory / "acls").write_text(RULES)
        self.flags = [
            f"--listen=tcp:127.0.0.1:{port}",
            f"--tls-cert-file={server.certificate}",
            f"--tls-key-file={server.key}",
            f"--http-credentials={directory}/credentials",
            f"--acls={directory}/acls",
        ]

    def client(self, user: str | None = None, password: str | None = None) -> AgentClient:
        authority = str(self.authority.certificate)
        credentials = Credentials(user=user, password=password or f"{user}'s", authority=authority)
        return AgentClient(self.url, credentials)

    def get(self, path: str, user: str) -> Any:
        pair = base64.b64encode(f"{user}:{user}'s".encode()).decode()
        request = urllib.request.Request(f"{self.url}{path}", headers={"Authorization": f"Basic {pair}"})
        context = ssl.create_default_context(cafile=str(self.authority.certificate))
        with urllib.request.urlopen(request, context=context) as answer:
            return json.load(answer)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    with started(tmp_path / "root", tmp_path / "state", *place.flags) as agent:
        yield place
        for container in place.client("ops").containers(ended=True):
            place.client("ops").remove(container.container_id.value, force=True)
        agent.stop()


def reading(container: str) -> Call:
    return Call(type=Call.READ_FILE, read_file=Call.ReadFile(path=f"/containers/{container}/log", offset=0))


def status(error: pytest.ExceptionInfo[AgentFailed]) -> int:
    return error.value.status


def test_each_sees_what_he_may(place: Place) -> None:
    ops, web = place.client("ops"), place.client("web")
    names = [new_id(kind)["value"] for kind in ("web", "db")]
    for name in names:
        ops.launch(ContainerRequest.of("host", ["sh", "-c", "echo secret; exec sleep 1000"], name=name))
    mine, others = names
    assert {each.container_id.value for each in ops.containers()} == set(names)
    assert [each.container_id.value for each in web.containers()] == [mine]
    assert web.inspect(mine).running
    dev = place.client("dev")  # who has a rule of containers only
    assert [each.container_id.value for each in dev.containers()] == [mine]
    assert dev.pods() == []
    state = place.get("/state", "dev")
    assert ([each["id"] for each in state["containers"]], state["flags"]) == ([mine], {})
    assert [each["container_id"] for each in place.get("/containers", "dev")] == [mine]
    for nothing in (dev.metrics, place.client("nobody").containers):
        with pytest.raises(AgentFailed) as error:
            nothing()
        assert status(error) == 403
    for forbidden in (
        lambda: web.inspect(others),
        lambda: web.kill(others),
        lambda: web.remove(others, force=True),
        lambda: next(web.logs(others)),
        lambda: next(web.output(others)),
        lambda: web.call(reading(others)),
        lambda: web.launch(ContainerRequest.of("host", ["true"], name=f"{others}-2")),
    ):
        with pytest.raises(AgentFailed) as error:
            forbidden()
        assert status(error) == 403
    assert b"secret" in web.call(reading(mine)).read_file.data
    assert ops.inspect(others).running
    web.remove(mine, force=True)


def test_a_wrong_password_or_authority(place: Place, tmp_path: Path) -> None:
    with pytest.raises(AgentFailed) as error:
        place.client("ops", "guessed").version()
    assert status(error) == 401
    with pytest.raises(AgentFailed) as error:
        AgentClient(place.url, Credentials(authority=str(place.authority.certificate))).version()
    assert status(error) == 401
    with pytest.raises(AgentUnreachable, match="certificate verify failed"):
        AgentClient(place.url, Credentials(user="ops", password="ops's")).version()


def test_a_bearer_token(place: Place) -> None:
    authority = str(place.authority.certificate)
    assert AgentClient(place.url, Credentials(token="ops:ops's", authority=authority)).version()
    for token in ("ops:guessed", "ops's", "nobody:ops's"):
        with pytest.raises(AgentFailed) as error:
            AgentClient(place.url, Credentials(token=token, authority=authority)).version()
        assert status(error) == 401


def test_a_certificate_says_who_asks(tmp_path: Path) -> None:
    authority = Authority.make(tmp_path / "ca")
    server, ops, web = (authority.issue(n, client=n != "agent") for n in ("agent", "ops", "web"))
    stranger = Authority.make(tmp_path / "other").issue("ops", client=True)
    (tmp_path / "acls").write_text(RULES)
    url = f"https://127.0.0.1:{(port := free_port())}"
    flags = [
        f"--listen=tcp:127.0.0.1:{port}",
        f"--tls-cert-file={server.certificate}",
        f"--tls-key-file={server.key}",
        f"--tls-ca-file={authority.certificate}",
        f"--acls={tmp_path}/acls",
    ]

    def client(own: Certificate | None) -> AgentClient:
        given = {"certificate": str(own.certificate), "key": str(own.key)} if own is not None else {}
        return AgentClient(url, Credentials(authority=str(authority.certificate), **given))

    with started(tmp_path / "root", tmp_path / "state", *flags) as agent:
        assert client(ops).metrics()
        assert client(web).containers() == []
        with pytest.raises(AgentFailed) as error:
            client(web).launch(ContainerRequest.of("host", ["true"], name="db-1"))
        assert status(error) == 403
        for refused in (None, stranger):
            with pytest.raises(AgentUnreachable):
                client(refused).version()
        agent.stop()
