"""Sandboxes of containers that have ended: how long they stay, and what goes with them."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from containerizer.agent.collector import Collector, allowed_age
from containerizer.agent.engine import Engine
from containerizer.agent.events import Event
from containerizer.request import ContainerRequest
from tests.agent.conftest import Agents


@pytest.mark.parametrize(
    ("headroom", "used", "days"), [(0.1, 0.0, 6.3), (0.1, 0.5, 2.8), (0.1, 0.9, 0), (0.1, 1.0, 0), (0, 0, 7)]
)
def test_the_fuller_the_disk_the_shorter(headroom: float, used: float, days: float) -> None:
    assert allowed_age(7 * 86400, headroom, used) == pytest.approx(days * 86400)


async def collect(engine: Engine, *, delay: float, headroom: float) -> list[Event]:
    told: list[Event] = []
    engine.events.observe(told.append)
    collector = Collector(engine.paths, engine.events, delay=delay, headroom=headroom)
    await collector.collect(await engine.containers(), engine.remove, engine.call)
    return [event for event in told if event.kind.startswith("collect")]


async def ended(engine: Engine, name: str) -> str:
    launch = await engine.launch(ContainerRequest.of("host", ["true"], name=name))
    await engine.wait(launch.record.id)
    return engine.paths.sandbox(launch.record.id)


@pytest.mark.requires("root", "cgroup")
def test_what_ended_long_ago_is_removed(agents: Agents) -> None:
    async def scenario(engine: Engine) -> None:
        sandbox = await ended(engine, "old")
        await engine.launch(ContainerRequest.of("host", ["sleep", "60"], name="running"))
        assert await collect(engine, delay=3600, headroom=0) == []
        assert os.path.isdir(sandbox)
        (event,) = await collect(engine, delay=0, headroom=0)
        assert (event.kind, event.subject) == ("collected", "old")
        assert [str(record.id) for record in await engine.containers()] == ["running"]
        assert not os.path.exists(sandbox)

    agents.run(scenario)


@pytest.mark.requires("root", "cgroup")
def test_for_room_files_go_and_the_termination_stays(agents: Agents) -> None:
    async def scenario(engine: Engine) -> None:
        sandbox = await ended(engine, "web")
        (event,) = await collect(engine, delay=3600, headroom=1)
        assert (event.kind, event.subject) == ("collected", "web")
        assert not os.path.exists(sandbox)
        (record,) = await engine.containers()
        assert record.ended is not None
        assert await collect(engine, delay=3600, headroom=1) == []

    agents.run(scenario)


@pytest.mark.requires("root", "cgroup")
def test_a_sandbox_that_no_record_knows_may_be_of_another_state_directory(agents: Agents) -> None:
    async def scenario(engine: Engine) -> None:
        stranger = Path(agents.root, "containers", "stranger")
        stranger.mkdir(parents=True)
        assert await collect(engine, delay=0, headroom=1) == []
        assert stranger.exists()

    agents.run(scenario)


@pytest.mark.requires("root", "cgroup")
def test_a_sandbox_from_before_the_boot_is_nobodys(agents: Agents, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("containerizer.agent.collector.booted_at", lambda: time.time() + 60)

    async def scenario(engine: Engine) -> None:
        stale = Path(agents.root, "containers", "stale", "rootfs")
        stale.mkdir(parents=True)
        (event,) = await collect(engine, delay=0, headroom=0)
        assert (event.kind, event.subject) == ("collected", "stale")
        assert not stale.exists()

    agents.run(scenario)
