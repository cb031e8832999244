"""Limits that a container goes on within: told by the agent, whoever launched it, and kept with it."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import Any

import pytest

from containerizer import inspection
from containerizer.agent.engine import Engine
from containerizer.agent.events import Event
from containerizer.agent.metrics import Metrics
from containerizer.containerizer import Containerizer
from containerizer.request import ContainerRequest
from isolators.resources import Resources
from launcher.attach import Output
from launcher.container_id import ContainerId
from launcher.stdio import Pipes
from tests.agent.conftest import Agents
from tests.launcher.support import Reader

pytestmark = pytest.mark.requires("root", "cgroup")

# The subshell forks until it is refused; the shell itself goes on.
CROWDED = "(for each in 1 2 3 4 5 6 7 8; do sleep 300 & done) 2>/dev/null; echo crowded; read line"
BUSY = ContainerId("busy")


def crowded(before: str = "") -> ContainerRequest:
    return ContainerRequest.of("host", ["sh", "-c", before + CROWDED], name="busy", pids=4, keep=True)


async def output_of(engine: Engine, text: bytes) -> None:
    stream = await engine.attach(BUSY)
    seen = b""
    async for event in stream.output():
        seen += event.data if isinstance(event, Output) else b""
        if text in seen:
            break
    stream.close()


async def told(engine: Engine, events: list[Event]) -> dict[str, Any]:
    async with asyncio.timeout(30):
        while not (found := [event for event in events if event.kind == "limit-reached"]):
            await asyncio.sleep(0.05)
    (event,) = found
    assert event.subject == "busy"
    return dict(event.details)


def test_of_a_container_of_its_own_it_tells_once_and_at_once(agents: Agents) -> None:
    async def scenario(engine: Engine) -> None:
        events: list[Event] = []
        engine.events.observe(events.append)
        metrics = Metrics(engine)
        await engine.launch(crowded(), Pipes(stdin=True))
        await output_of(engine, b"crowded")
        details = await told(engine, events)
        assert (details["isolator"], details["resource"], details["limit"]) == ("cgroups/pids", "pids", 4)
        assert "limit 4" in details["message"]
        (known,) = (await engine.status(BUSY)).reached
        assert (known.limitation.resource, known.limitation.fatal) == ("pids", False)
        await engine.destroy(BUSY)
        assert len([event for event in events if event.kind == "limit-reached"]) == 1
        assert b'containerizer_limits_reached_total{resource="pids"} 1.0' in await metrics.text()
        (kept,) = (await engine.status(BUSY)).reached
        assert kept.limitation.resource == "pids"

    agents.run(scenario)


def test_what_an_agent_has_told_the_next_one_does_not_tell_again(agents: Agents) -> None:
    async def first(engine: Engine) -> None:
        events: list[Event] = []
        engine.events.observe(events.append)
        await engine.launch(crowded(), Pipes(stdin=True))
        await output_of(engine, b"crowded")
        await told(engine, events)

    async def second(engine: Engine) -> None:
        events: list[Event] = []
        engine.events.observe(events.append)
        await engine.destroy(BUSY)
        assert "limit-reached" not in [event.kind for event in events]
        assert len((await engine.status(BUSY)).reached) == 1

    agents.run(first)
    agents.run(second)


def test_a_container_that_it_finds_is_watched_too(agents: Agents) -> None:
    owner = Containerizer(root=str(agents.root), state=str(agents.state))
    container = owner.create(crowded("read line; "), Pipes(stdin=True))
    container.start()
    container.detach()
    owner.close()

    async def scenario(engine: Engine) -> None:
        events: list[Event] = []
        engine.events.observe(events.append)
        async with await engine.attach(BUSY) as stream:
            await stream.write(b"go\n")
            await told(engine, events)
        await engine.destroy(BUSY)
        assert [event.kind for event in events].count("limit-reached") == 1

    agents.run(scenario)


def test_nobody_needs_to_watch(agents: Agents) -> None:
    with Containerizer(root=str(agents.root), state=str(agents.state)) as owner:
        container = owner.create(crowded(), Pipes(stdin=True))
        container.start()
        with container.attach() as attachment:
            attachment.attach()
            Reader(attachment).until("crowded\n")
        container.detach()
        owner.get("busy").stop()
        (noted,) = inspection.status(owner, BUSY).reached
        assert (noted.limitation.resource, noted.limitation.limit) == ("pids", 4)


@pytest.mark.parametrize("launched_by", ["a lane", "a command"])
def test_a_limit_that_an_update_has_set_is_told_as_well(agents: Agents, launched_by: str) -> None:
    request = ContainerRequest.of("host", ["sh", "-c", "read line; " + CROWDED], name="busy", keep=True)
    if launched_by == "a command":
        with Containerizer(root=str(agents.root), state=str(agents.state)) as owner:
            container = owner.create(request, Pipes(stdin=True))
            container.start()
            container.detach()

    async def scenario(engine: Engine) -> None:
        events: list[Event] = []
        engine.events.observe(events.append)
        if launched_by == "a lane":
            await engine.launch(request, Pipes(stdin=True))
        for limit in (5, 4):  # one watch is enough
            await engine.update(BUSY, Resources(pids=limit))
        async with await engine.attach(BUSY) as stream:
            await stream.write(b"go\n")
            assert (await told(engine, events))["limit"] == 4
        (known,) = (await engine.status(BUSY)).reached
        assert (known.limitation.resource, known.limitation.limit) == ("pids", 4)
        await engine.destroy(BUSY)
        assert [event.kind for event in events].count("limit-reached") == 1

    agents.run(scenario)


def test_what_watches_for_an_update_ends_with_the_container(agents: Agents) -> None:
    """Also where all that comes here is that it has ended."""
    request = ContainerRequest.of("host", ["sleep", "300"], name="busy", keep=True)

    async def scenario(engine: Engine) -> None:
        await engine.launch(request, Pipes())
        before = watching()
        await engine.update(BUSY, Resources(pids=5))
        assert watching() > before
        await engine.destroy(BUSY)
        assert watching() == before

    agents.run(scenario)


def watching() -> int:
    links = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # that of this listing
            links.append(os.readlink(f"/proc/self/fd/{name}"))
    return sum(link in ("anon_inode:inotify", "anon_inode:[timerfd]") for link in links)  # v2, v1
