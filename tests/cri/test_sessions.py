"""What streams are made of: tokens, and the open ends of commands, tasks and pods' networks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from containerizer.agent.engine import Engine
from containerizer.agent.settings import EngineSettings
from containerizer.cri import sessions, starting
from containerizer.cri.containers import ContainerCalls
from containerizer.cri.errors import NotNow
from containerizer.cri.images import ImageCalls
from containerizer.cri.pods import PodCalls
from containerizer.cri.proto import containers_pb2 as containers
from containerizer.cri.proto import pods_pb2 as pods
from containerizer.cri.service import Service
from containerizer.cri.sessions import Session
from containerizer.cri.settings import CriSettings
from containerizer.cri.streams import AttachStream, ExecStream, PortForwardStream, Tokens, TooManyStreams
from isolators.flags import IsolatorFlags
from launcher.errors import CommandNotFound, ContainerizerError
from tests.cri.client import made
from tests.cri.conftest import Node

TIMEOUT = 60  # seconds until a scenario counts as hung


# Tokens ------------------------------------------------------------------------------------------


def test_a_token_is_good_once_and_for_a_minute() -> None:
    now = [0.0]
    tokens = Tokens(clock=lambda: now[0])
    asked = PortForwardStream(pod_id="a")
    first, second = tokens.issue(asked), tokens.issue(asked)
    assert first != second
    assert [tokens.take(first), tokens.take(first)] == [asked, None]
    now[0] = 61.0
    assert tokens.take(second) is None


def test_a_url_names_the_kind_of_stream() -> None:
    tokens = Tokens()
    asked = AttachStream(container_id="a", stdout=True)
    with pytest.raises(ContainerizerError, match="no streams are served"):
        tokens.url(asked)
    tokens.base_url = "http://127.0.0.1:1"
    url = tokens.url(asked)
    assert url.startswith("http://127.0.0.1:1/attach/")
    assert tokens.take(url.rpartition("/")[2]) == asked


def test_so_many_wait_and_no_more() -> None:
    tokens = Tokens()
    for _ in range(1000):
        tokens.issue(PortForwardStream(pod_id="a"))
    with pytest.raises(TooManyStreams):
        tokens.issue(PortForwardStream(pod_id="a"))


# Sessions ----------------------------------------------------------------------------------------


class Runtime:
    """An engine and a pod in the node's network, in an event loop of its own."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.pods = PodCalls(service)
        images = ImageCalls(service.engine.images, service.engine.paths.root)
        self.containers = ContainerCalls(service, images)

    async def pod(self, *, network: str = "NODE") -> str:
        options = {"namespace_options": {"network": network}}
        config = {"metadata": {"name": "pod"}, "linux": {"security_context": options}}
        answer = await self.pods.run_pod_sandbox(made(pods.RunPodSandboxRequest, {"config": config}))
        return answer.pod_sandbox_id

    async def start(self, pod: str, image: str, command: list[str], **config: Any) -> str:
        await self.service.engine.images.pull(image, policy="missing")
        config = {"metadata": {"name": "main"}, "image": {"image": image}, "command": command, **config}
        request = made(containers.CreateContainerRequest, {"pod_sandbox_id": pod, "config": config})
        container = (await self.containers.create_container(request)).container_id
        await self.containers.start_container(containers.StartContainerRequest(container_id=container))
        return container


Scenario = Callable[[Runtime, str], Coroutine[Any, Any, None]]


@pytest.fixture
def scenario(node: Node, tmp_path: Path) -> Callable[[Scenario], None]:
    """Runs it, and removes all pods after it."""

    @contextlib.asynccontextmanager
    async def running() -> AsyncIterator[Runtime]:
        directories = (str(node.networks),)
        settings = EngineSettings(
            root=str(tmp_path / "root"),
            state=str(tmp_path / "state"),
            isolation=starting.isolation(),
            isolator_flags=IsolatorFlags(cni_config_dirs=directories),
        )
        engine = Engine(settings)
        await engine.start()
        cri = CriSettings(address="unix:///nowhere", cni_config_dirs=directories)
        service = Service(engine, cri)
        try:
            runtime = Runtime(service)
            yield runtime
            for pod in list(service.store.pods):
                await runtime.pods.remove_pod_sandbox(pods.RemovePodSandboxRequest(pod_sandbox_id=pod))
        finally:
            await service.close()
            await engine.close()

    def run(work: Scenario) -> None:
        async def go() -> None:
            async with running() as runtime:
                await work(runtime, node.image)

        asyncio.run(asyncio.wait_for(go(), TIMEOUT))

    return run


async def everything(session: Session) -> dict[int, bytes]:
    found = {1: b"", 2: b""}
    async for stream, data in session.output():
        found[stream] += data
    return found


needs = pytest.mark.requires("root", "registry", "busybox", "cni", "overlay")


@needs
def test_a_command_reads_its_input_to_its_end(scenario: Callable[[Scenario], None]) -> None:
    async def work(runtime: Runtime, image: str) -> None:
        container = await runtime.start(await runtime.pod(), image, ["sleep", "1000"])
        argv = ("sh", "-c", "cat; echo err >&2; exit 3")
        asked = ExecStream(container_id=container, argv=argv, stdin=True, stdout=True, stderr=True)
        session = await sessions.open_exec(runtime.service, asked)
        await session.write(b"one ")
        await session.write(b"two\n")
        await session.end_input()
        assert await everything(session) == {1: b"one two\n", 2: b"err\n"}
        assert session.exit_code == 3
        await session.close()
        with pytest.raises(CommandNotFound):
            await sessions.open_exec(
                runtime.service, ExecStream(container_id=container, argv=("/nothing",), stdout=True)
            )

    scenario(work)


@needs
def test_a_command_in_a_terminal_has_a_size(scenario: Callable[[Scenario], None]) -> None:
    async def work(runtime: Runtime, image: str) -> None:
        container = await runtime.start(await runtime.pod(), image, ["sleep", "1000"])
        argv = ("sh", "-c", "read x; stty size")
        asked = ExecStream(container_id=container, argv=argv, tty=True, stdin=True, stdout=True)
        session = await sessions.open_exec(runtime.service, asked)
        await session.resize(33, 99)
        await session.write(b"\n")
        assert b"33 99" in (await everything(session))[1]
        assert session.exit_code == 0
        await session.close()

    scenario(work)


@needs
def test_a_command_that_nobody_listens_to_is_killed(scenario: Callable[[Scenario], None]) -> None:
    async def work(runtime: Runtime, image: str) -> None:
        container = await runtime.start(await runtime.pod(), image, ["sleep", "1000"])
        asked = ExecStream(container_id=container, argv=("sleep", "1000"), stdout=True)
        session = await sessions.open_exec(runtime.service, asked)
        commands = [r for r in await runtime.service.engine.containers() if r.id.is_command]
        assert len(commands) == 1
        await session.close()
        await session.close()
        assert [r for r in await runtime.service.engine.containers() if r.id.is_command] == []

    scenario(work)


@needs
@pytest.mark.parametrize("once", [True, False])
def test_who_attaches_types_for_the_task(scenario: Callable[[Scenario], None], *, once: bool) -> None:
    """Nothing of before comes; with stdin once, the input ends with the first who leaves."""

    async def work(runtime: Runtime, image: str) -> None:
        script = "echo before; while read x; do echo got $x; done; exit 9"
        command = ["sh", "-c", script]
        container = await runtime.start(await runtime.pod(), image, command, stdin=True, stdin_once=once)
        asked = AttachStream(container_id=container, stdin=True, stdout=True)
        session = await sessions.open_attach(runtime.service, asked)
        await session.write(b"one\n")
        output = session.output()
        assert b"got one\n" in (await anext(output))[1]
        await session.close()
        if once:
            await runtime.service.ended(container)
            assert runtime.service.store.container(container).exit_code == 9
        else:
            again = await sessions.open_attach(runtime.service, asked)
            await again.write(b"two\n")
            assert (await anext(again.output()))[1] == b"got two\n"
            await again.close()

    scenario(work)


@needs
@pytest.mark.parametrize("network", ["NODE", "POD"])
def test_a_connection_into_the_network_of_a_pod(scenario: Callable[[Scenario], None], network: str) -> None:
    async def work(runtime: Runtime, image: str) -> None:
        pod = await runtime.pod(network=network)
        script = "echo hello | nc -l -p 18462"
        await runtime.start(pod, image, ["sh", "-c", script])
        while True:
            with contextlib.suppress(ConnectionRefusedError):
                connection = await sessions.connected(runtime.service, pod, 18462)
                break
        with connection:
            assert await asyncio.get_running_loop().sock_recv(connection, 100) == b"hello\n"
        with pytest.raises(ConnectionRefusedError):
            await sessions.connected(runtime.service, pod, 18463)
        await runtime.pods.stop_pod_sandbox(pods.StopPodSandboxRequest(pod_sandbox_id=pod))
        with pytest.raises(NotNow):
            await sessions.connected(runtime.service, pod, 18462)

    scenario(work)
