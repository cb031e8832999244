"""The engine: launch, wait, control and end, all from one event loop."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from containerizer import record as records
from containerizer import sandbox
from containerizer.agent.engine import Engine
from containerizer.agent.events import Event
from containerizer.agent.metrics import Metrics
from containerizer.agent.settings import ImageGc
from containerizer.agent.streams import Stream
from containerizer.fetcher.errors import FetchFailed
from containerizer.nested import ExecRequest
from containerizer.record import ContainerRecord, NoSuchContainer
from containerizer.request import ContainerRequest
from containerizer.stages import STAGES
from isolators.catalog import DEFAULT
from isolators.resources import Resources
from launcher.attach import Output
from launcher.container_id import ContainerId
from launcher.errors import CommandNotFound, InvalidRequest, LaunchFailed
from launcher.exit_status import ExitStatus
from launcher.stdio import Pipes
from provisioner.store.prune import Criteria
from tests.agent.conftest import Agents
from tests.support import images
from tests.support.faulty_proxy import Fault, FaultyProxy
from tests.support.images import entry, layer
from tests.support.registry import Registry

pytestmark = pytest.mark.requires("root", "cgroup")


def shell(script: str, name: str | None = None, **options: object) -> ContainerRequest:
    return ContainerRequest.of("host", ["sh", "-c", script], name=name, **options)


def test_of_one_that_is_being_taken_back_nothing_is_watched(agents: Agents) -> None:
    """Who takes it back has removed what tells of its limits; whoever waits just then waits for that."""
    nobody = {"pid": 4194303, "pid_started": 1, "supervisor": 4194302, "supervisor_started": 1}

    async def scenario(engine: Engine) -> None:
        record = ContainerRecord(
            container_id="web",
            image="host",
            isolation=DEFAULT,
            state="running",
            created_at=time.time(),
            keep=True,
            **nobody,
        )
        records.reserve(engine.paths, record)
        sandbox.create(engine.paths.sandbox(record.id))
        assert (await engine.wait(record.id)).exit_status == ExitStatus(signal=9)
        await engine.remove(record.id)

    agents.run(scenario)


def test_a_termination_is_kept_until_it_is_removed(agents: Agents) -> None:
    async def scenario(engine: Engine) -> None:
        launch = await engine.launch(shell("exit 7"))
        assert (await engine.wait(launch.record.id)).exit_code == 7
        assert (await engine.wait(launch.record.id)).exit_code == 7
        await engine.remove(launch.record.id)
        with pytest.raises(NoSuchContainer):
            await engine.wait(launch.record.id)

    agents.run(scenario)


def test_many_waiters_take_no_thread_each(agents: Agents) -> None:
    async def scenario(engine: Engine) -> None:
        launches = [await engine.launch(shell("read line; exit 3"), Pipes(stdin=True)) for _ in range(12)]
        waiters = [
            asyncio.create_task(engine.wait(launch.record.id)) for launch in launches for _ in range(8)
        ]
        await asyncio.sleep(0)
        for launch in launches:  # more than there are threads, and all of them work
            async with await engine.attach(launch.record.id) as stream:
                await stream.write(b"go\n")
        assert {(await waiter).exit_code for waiter in waiters} == {3}

    agents.run(scenario)


def test_a_launch_that_fails_leaves_nothing(agents: Agents) -> None:
    async def scenario(engine: Engine) -> None:
        told = []
        engine.events.observe(told.append)
        with pytest.raises(CommandNotFound):
            await engine.launch(ContainerRequest.of("host", ["/no/such/program"], name="broken"))
        assert await engine.containers() == []
        assert [event.kind for event in told] == ["launching", "launch-failed"]
        assert told[-1].details["stage"] == "execute"
        await engine.launch(shell("true", "broken"))

    agents.run(scenario)


def test_each_stage_of_a_launch_is_measured(agents: Agents) -> None:
    async def scenario(engine: Engine) -> None:
        metrics, told = Metrics(engine), []
        engine.events.observe(told.append)
        await engine.launch(shell("exit 0", "timed"))
        with pytest.raises(InvalidRequest):
            await engine.launch(shell("exit 0", "refused", namespaces={"net": "/no/such"}))
        (launched,) = [event for event in told if event.kind == "launched"]
        assert all(launched.details[stage] > 0 for stage in STAGES)
        assert sum(launched.details[stage] for stage in STAGES) < launched.details["seconds"]
        text = (await metrics.text()).decode()
        for stage in STAGES:
            assert f'containerizer_launch_stage_seconds_count{{stage="{stage}"}} 1.0' in text
        assert 'containerizer_launch_failures_total{stage="launch"} 1.0' in text

    agents.run(scenario)


@pytest.mark.requires("overlay", "busybox")
def test_images_make_room_by_themselves(agents: Agents, tmp_path: Path) -> None:
    """All that no container uses, where all of the disk is to be free; what is excluded stays."""
    parts = {name: images.busybox({"Labels": {"name": name}}) for name in ("used", "kept", "gone")}
    names = [f"oci:{images.write_layout([('v', own)], tmp_path / name)}:v" for name, own in parts.items()]
    gc = ImageGc(headroom=1.0, interval=0.05, excluded=(names[1],), fresh=0.0)

    async def scenario(engine: Engine) -> None:
        pruned: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def hear(event: Event) -> None:
            if event.kind == "pruned" and not pruned.done():
                pruned.set_result(event.subject)

        engine.events.observe(hear)
        await engine.launch(ContainerRequest.of(names[0], ["sleep", "1000"], name="uses"))
        for name in names[1:]:
            await engine.images.pull(name)
        spared = await engine.images.prune(Criteria(headroom=1.0, fresh=60.0))
        assert spared.images == ()
        collecting = asyncio.create_task(engine.images.collect(gc))
        assert await pruned == names[2]
        assert {image.reference for image in await engine.images.all()} == set(names[:2])
        collecting.cancel()

    agents.run(scenario)


def test_what_could_not_be_fetched_is_told_as_such(agents: Agents, tmp_path: Path) -> None:
    async def scenario(engine: Engine) -> None:
        told = []
        engine.events.observe(told.append)
        with pytest.raises(FetchFailed):
            await engine.launch(shell("exit 0", "hungry", fetch=[str(tmp_path / "missing")]))
        assert [each.details["stage"] for each in told if each.kind == "launch-failed"] == ["fetch"]

    agents.run(scenario)


@pytest.mark.requires("overlay", "busybox")
def test_only_what_is_not_stored_is_pulled(agents: Agents, tmp_path: Path) -> None:
    image = f"oci:{images.write_layout([('latest', images.busybox())], tmp_path / 'image')}:latest"

    async def scenario(engine: Engine) -> None:
        told = []
        engine.events.observe(told.append)
        for name in ("one", "two"):
            await engine.launch(ContainerRequest.of(image, ["true"], name=name))
            assert (await engine.wait(ContainerId(name))).exit_code == 0
        assert [each.kind for each in told if each.about_image] == ["pulled"]

    agents.run(scenario)


@pytest.mark.requires("registry")
def test_who_is_destroyed_is_pulled_no_further(agents: Agents, tmp_path: Path) -> None:
    large = layer([entry("noise", os.urandom(3 << 20))])

    async def scenario(engine: Engine) -> None:
        with Registry.start(tmp_path / "registry") as registry, FaultyProxy.start(registry.host) as proxy:
            images.push(images.image(large), registry.host, "slow", "latest")
            proxy.fault(f"/blobs/{images.digest(large.blob)}", Fault(drip_after=1 << 20))
            request = ContainerRequest.of(f"{proxy.host}/slow", ["true"], name="slow")
            launch = asyncio.create_task(engine.launch(request))
            await asyncio.to_thread(proxy.stalled.acquire)
            await engine.destroy(ContainerId("slow"))
            with pytest.raises(LaunchFailed, match="destroyed while its image was pulled"):
                await launch

    agents.run(scenario)


def test_a_name_is_taken_once(agents: Agents) -> None:
    async def scenario(engine: Engine) -> None:
        launches = [engine.launch(shell("sleep 60", "one")) for _ in range(4)]
        results = await asyncio.gather(*launches, return_exceptions=True)
        assert sum(isinstance(result, InvalidRequest) for result in results) == 3

    agents.run(scenario)


def test_output_is_replayed_to_every_reader(agents: Agents) -> None:
    async def scenario(engine: Engine) -> None:
        launch = await engine.launch(shell("echo before; read line; echo $line; exit 4"), Pipes(stdin=True))

        streams = [await engine.attach(launch.record.id) for _ in range(3)]

        async def read(stream: Stream) -> tuple[bytes, ExitStatus]:
            async with stream:
                events = [event async for event in stream.output()]
            text = b"".join(event.data for event in events if isinstance(event, Output))
            assert isinstance(events[-1], ExitStatus)
            return text, events[-1]

        readers = [asyncio.create_task(read(stream)) for stream in streams]
        async with await engine.attach(launch.record.id) as stream:
            await stream.write(b"typed\n")
            assert {await reader for reader in readers} == {(b"before\ntyped\n", ExitStatus(4))}

    agents.run(scenario)


def test_the_end_of_a_tree_comes_from_its_leaves(agents: Agents) -> None:
    async def scenario(engine: Engine) -> None:
        ended = []
        names = ["a", "a.b", "a.b.c"]
        for name in names:
            await engine.launch(shell("sleep 60", name))
        waiters = [asyncio.create_task(engine.wait(await engine.find(name))) for name in names]
        await asyncio.sleep(0)
        engine.events.observe(lambda event: ended.append(event.subject) if event.kind == "ended" else None)
        top = await engine.find("a")
        await engine.destroy(top)
        assert ended == ["a.b.c", "a.b", "a"]
        assert {(await waiter).exit_code for waiter in waiters} == {137}
        assert {record.state for record in await engine.containers()} == {"terminated"}
        await engine.remove(top)
        assert await engine.containers() == []

    agents.run(scenario)


def test_a_further_command_has_an_end_of_its_own(agents: Agents) -> None:
    async def scenario(engine: Engine) -> None:
        launch = await engine.launch(shell("sleep 60"))
        command = await engine.execute(launch.record.id, ExecRequest(command=("sh", "-c", "exit 5")))
        assert (await engine.wait(command.record.id)).exit_code == 5

    agents.run(scenario)


def test_a_memory_limit_is_told(agents: Agents) -> None:
    async def scenario(engine: Engine) -> None:
        request = shell("x=$(head -c 100000000 /dev/zero | tr '\\0' x); echo $x", mem="16m")
        launch = await engine.launch(request)
        termination = await engine.wait(launch.record.id)
        assert termination.limitation is not None
        assert termination.limitation.resource == "memory"

    agents.run(scenario)


def test_pause_update_and_usage(agents: Agents) -> None:
    async def scenario(engine: Engine) -> None:
        launch = await engine.launch(shell("sleep 60", mem="64m"))
        container_id = launch.record.id
        await engine.pause(container_id)
        assert (await engine.status(container_id)).paused
        await engine.resume(container_id)
        await engine.update(container_id, Resources(memory=128 << 20))
        assert (await engine.usage(container_id)).memory_limit_bytes == 128 << 20
        assert (await engine.stop(container_id, timeout=0)).exit_code == 137

    agents.run(scenario)


def test_who_is_cancelled_wants_no_container(agents: Agents) -> None:
    async def scenario(engine: Engine) -> None:
        with engine.events.subscribed() as events:
            launching = asyncio.create_task(engine.launch(shell("sleep 60", "unwanted")))
            while (await events.next()).kind != "launching":
                pass
            await asyncio.sleep(0)
            launching.cancel()
            with pytest.raises(asyncio.CancelledError):
                await launching
            while (await events.next()).kind != "ended":
                pass
        assert [record.state for record in await engine.containers()] == ["terminated"]

    agents.run(scenario)
